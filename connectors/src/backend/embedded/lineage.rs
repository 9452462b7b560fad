//! The installation in the file. The process that has the file is the only one there is, so nobody has to be told or fenced:
//! who opens it later finds what is written.

use super::{
    super::{Installation, Lineage, Peer, Result},
    Embedded,
    machines::{decode, encode},
    tables::{META, META_LINEAGE},
};

impl Installation for Embedded {
    fn lineage(&self) -> Result<Lineage> {
        self.store.read(|read| match read.open_table(META)?.get(META_LINEAGE)? {
            Some(row) => Ok(decode(row.value(), "where the installation came from and has gone")?),
            None => Ok(Lineage::default()),
        })
    }

    fn set_lineage(&self, lineage: &Lineage) -> Result<()> {
        let row = encode(lineage)?;
        self.write(row.len(), move |batch| {
            batch.tables.meta.insert(META_LINEAGE, row.as_slice())?;
            Ok(())
        })
    }

    fn retire(&self, partition: u32, _: bool) -> Result<()> {
        self.check(partition)
    }

    fn others(&self) -> Result<Vec<Peer>> {
        Ok(Vec::new())
    }
}
