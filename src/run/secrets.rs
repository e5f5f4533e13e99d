//! Secrets that the user names: key logs, private keys, pre-shared keys. A key log that still grows is followed.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::RunError;
use crate::tls::{KeyLog, KeyLogReport, KeyLogTail, SecretSource};

/// What the user gave to decrypt with. Its `Debug` shows no secret.
#[derive(Clone, Default)]
pub struct UserSecrets {
    /// Files in the format of SSLKEYLOGFILE.
    pub key_logs: Vec<PathBuf>,
    /// RSA private keys in PEM, for TLS 1.2 and older with RSA key exchange.
    pub rsa_keys: Vec<PathBuf>,
    /// Pre-shared keys in hexadecimal digits.
    pub psks: Vec<String>,
}

impl std::fmt::Debug for UserSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key_logs, rsa_keys, psks } = self;
        write!(f, "UserSecrets({key_logs:?}, {rsa_keys:?}, {} pre-shared keys)", psks.len())
    }
}

/// Key logs while they are read.
pub(super) struct Followed {
    logs: Vec<Log>,
    report: KeyLogReport,
}

struct Log {
    path: PathBuf,
    file: Option<File>,
    tail: KeyLogTail,
}

impl Followed {
    /// Reads what is there. A key log that is not there yet is an error unless the run is live: then it is waited for.
    pub(super) fn open(given: &UserSecrets, keys: &KeyLog, is_live: bool) -> Result<Self, RunError> {
        for path in &given.rsa_keys {
            let pem = std::fs::read_to_string(path).map_err(|error| failed(path, error))?;
            keys.add_rsa_key(&pem).map_err(|error| failed(path, std::io::Error::new(ErrorKind::InvalidData, error)))?;
        }
        for psk in &given.psks {
            keys.add_psk(psk).map_err(|error| RunError::Psk(error.to_string()))?;
        }
        let logs = given.key_logs.iter();
        let mut logs: Vec<Log> =
            logs.map(|path| Log { path: path.clone(), file: None, tail: KeyLogTail::default() }).collect();
        let mut report = KeyLogReport::default();
        for log in &mut logs {
            match log.read(keys, &mut report) {
                Err(error) if is_live && error.kind() == ErrorKind::NotFound => {}
                result => result.map_err(|error| failed(&log.path, error))?,
            }
            if !is_live {
                // Nothing will be appended: a last line without an end is whole.
                report.add(log.tail.finish(SecretSource::KeyLog, keys));
            }
        }
        Ok(Self { logs, report })
    }

    /// Reads what was appended since.
    pub(super) fn follow(&mut self, keys: &KeyLog) {
        for log in &mut self.logs {
            // A log that cannot be read any more keeps what it gave.
            let _ = log.read(keys, &mut self.report);
        }
    }

    /// The last line may have no end. What all lines were.
    pub(super) fn finish(mut self, keys: &KeyLog) -> KeyLogReport {
        self.follow(keys);
        for log in &mut self.logs {
            self.report.add(log.tail.finish(SecretSource::KeyLog, keys));
        }
        self.report
    }
}

impl Log {
    fn read(&mut self, keys: &KeyLog, report: &mut KeyLogReport) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::open(&self.path)?),
        };
        let mut text = zeroize::Zeroizing::new(vec![0; 64 << 10]);
        loop {
            let len = file.read(&mut text)?;
            if len == 0 {
                return Ok(());
            }
            report.add(self.tail.push(text.get(..len).unwrap_or_default(), SecretSource::KeyLog, keys));
        }
    }
}

fn failed(path: &Path, error: std::io::Error) -> RunError {
    RunError::Secrets { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Limits;
    use std::io::Write;

    #[test]
    fn a_log_that_comes_late_and_grows_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.log");
        let given = UserSecrets { key_logs: vec![path.clone()], ..UserSecrets::default() };
        let keys = KeyLog::new(&Limits::default());
        assert!(matches!(Followed::open(&given, &keys, false), Err(RunError::Secrets { .. })));
        let mut followed = Followed::open(&given, &keys, true).unwrap();
        let line = |byte: u8| format!("CLIENT_RANDOM {} {}\n", format!("{byte:02x}").repeat(32), "ab".repeat(48));
        let mut file = File::create(&path).unwrap();
        file.write_all(line(1).as_bytes()).unwrap();
        followed.follow(&keys);
        assert_eq!(keys.len(), 1);
        let (start, end) = (line(2), line(3));
        file.write_all(&start.as_bytes()[..40]).unwrap();
        followed.follow(&keys);
        assert_eq!(keys.len(), 1);
        file.write_all(&start.as_bytes()[40..]).unwrap();
        file.write_all(end.trim_end().as_bytes()).unwrap();
        followed.follow(&keys);
        assert_eq!(keys.len(), 2);
        let report = followed.finish(&keys);
        assert_eq!((report.used, report.broken, keys.len()), (3, 0, 3));
    }
}
