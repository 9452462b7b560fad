//! Kill switches in the file, and on a board in memory. The process that has the file is the only one there is, so its board
//! knows every switch.

use super::{
    super::{
        Result, Switch, Switches,
        switches::{Board, Deed},
    },
    Embedded,
    machines::{decode, encode},
    store::Stop,
    tables::SWITCHES,
};
use redb::{ReadTransaction, ReadableTable, TableError};
use std::{
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

impl Switches for Embedded {
    fn set_switch(&self, switch: Switch) -> Result<()> {
        // One after the other, so that the board ends as the file does.
        let _turn = self.setting.lock().unwrap_or_else(PoisonError::into_inner);
        let (row, set) = (encode(&switch)?, switch.clone());
        self.write(row.len(), move |batch| {
            batch.tables.switches.insert((set.tenant.as_str(), set.region.as_str()), row.as_slice())?;
            Ok(())
        })?;
        self.board().set(0, switch);
        Ok(())
    }

    fn held(&self, tenant: &str, region: &str, deed: Deed, now_ms: i64) -> Option<String> {
        self.board().held(tenant, region, deed, now_ms, Duration::MAX)
    }

    fn switch_silence(&self) -> Option<Duration> {
        self.board().silence()
    }

    fn switches(&self) -> Vec<Switch> {
        self.board().all()
    }
}

impl Embedded {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The switches in the file.
pub(super) fn all(read: &ReadTransaction) -> std::result::Result<Vec<Switch>, Stop> {
    let table = match read.open_table(SWITCHES) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut switches = Vec::new();
    for row in table.iter()? {
        switches.push(decode(row?.1.value(), "a kill switch")?);
    }
    Ok(switches)
}
