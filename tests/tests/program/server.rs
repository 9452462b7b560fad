//! A server in a folder of its own, on a port that is free, and the other commands beside it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// The program with these arguments, in a folder.
pub fn weir(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-under-test"));
    command.args(arguments).current_dir(folder).env("TZ", "UTC").env_remove("NO_COLOR").stdin(Stdio::null());
    // A folder may say that what runs in it is of the next release.
    if folder.join("release").exists() {
        command.env("WEIR_UNDER_TEST_RELEASE", "next");
    }
    // Or by how many milliseconds its machine's clock is wrong.
    if let Ok(wrong_ms) = fs::read_to_string(folder.join("clock")) {
        command.env("WEIR_UNDER_TEST_CLOCK", wrong_ms);
    }
    command
}

/// Runs a command to its end.
pub fn run(folder: &Path, arguments: &[&str]) -> Ended {
    weir(folder, arguments).output().unwrap().into()
}

/// A server; killed when this is dropped.
pub struct Server {
    child: Option<Child>,
    pub folder: PathBuf,
}

impl Server {
    /// Starts it in `folder`, on a free port, with its output in files there; answers once it serves.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let file = |name: &str| fs::File::options().create(true).append(true).open(folder.join(name)).unwrap();
        let mut all = vec!["run", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        let child = weir(folder, &all).stdout(file("out")).stderr(file("err")).spawn().unwrap();
        let mut server = Self { child: Some(child), folder: folder.to_owned() };
        let began = Instant::now();
        while !folder.join("weir-data/address").exists() {
            assert!(server.child.as_mut().unwrap().try_wait().unwrap().is_none(), "it ended: {}", server.said());
            assert!(began.elapsed() < PATIENCE, "it does not serve: {}", server.said());
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// Another command, which finds the server by its folder.
    pub fn ask(&self, arguments: &[&str]) -> Ended {
        run(&self.folder, arguments)
    }

    /// Asks until the answer is as wanted.
    pub fn ask_until(&self, arguments: &[&str], wanted: impl Fn(&Ended) -> bool) -> Ended {
        let began = Instant::now();
        loop {
            let ended = self.ask(arguments);
            if wanted(&ended) {
                return ended;
            }
            assert!(began.elapsed() < PATIENCE, "{arguments:?} still says {ended:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Where it is, `http://127.0.0.1:43211`.
    pub fn url(&self) -> String {
        format!("http://{}", fs::read_to_string(self.folder.join("weir-data/address")).unwrap().trim())
    }

    /// Everything it has said so far.
    pub fn said(&self) -> String {
        ["out", "err"].map(|name| fs::read_to_string(self.folder.join(name)).unwrap_or_default()).concat()
    }

    /// Sends a signal and answers the exit code, once it has ended.
    pub fn end(mut self, signal: &str) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            if began.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("it did not end: {}", self.said());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
