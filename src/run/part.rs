//! A file that gets its name when it is whole.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

/// Characters of the target's name in that of its temporary file: both must be names that the file system takes.
const NAME: usize = 48;
/// What tells one from another.
const RANDOM: usize = 6;
const SUFFIX: &str = ".part";
/// What was not touched for so long is nobody's who has only just made it.
const LEFT_OVER: Duration = Duration::from_secs(60);

/// A file beside its target, readable by its owner only. It has no name until it is whole, so that a program that is killed leaves
/// nothing behind. Where the file system has no such files it is called `.TARGET.XXXXXX.part`; what killed runs leave there, the
/// next one of the same target takes away.
pub(super) struct Part {
    kind: Kind,
    target: PathBuf,
    /// Held as long as the file is in use; nothing where there are no locks.
    lock: Option<lock::Lock>,
}

enum Kind {
    Unnamed(File),
    Named(NamedTempFile),
}

impl Part {
    /// A file that will be `target`.
    pub(super) fn beside(target: PathBuf) -> io::Result<Self> {
        let (folder, prefix) = place(&target)?;
        let kind = match unnamed(folder) {
            Some(file) => Kind::Unnamed(file),
            None => {
                let mut builder = tempfile::Builder::new();
                Kind::Named(builder.prefix(&prefix).rand_bytes(RANDOM).suffix(SUFFIX).tempfile_in(folder)?)
            }
        };
        let file = match &kind {
            Kind::Unnamed(file) => file,
            Kind::Named(file) => file.as_file(),
        };
        let lock = file.try_clone().ok().and_then(lock::lock);
        clean(folder, &prefix, file);
        Ok(Self { kind, target, lock })
    }

    /// Gives the file its name; one that was there is replaced.
    pub(super) fn persist(self) -> io::Result<()> {
        let Self { kind, target, lock } = self;
        let named = match kind {
            Kind::Named(file) => file.into_temp_path(),
            Kind::Unnamed(file) => {
                let (folder, prefix) = place(&target)?;
                let mut builder = tempfile::Builder::new();
                // A link does not replace: it gets a name of its own first.
                let builder = builder.prefix(&prefix).rand_bytes(RANDOM).suffix(SUFFIX);
                builder.make_in(folder, |path| link(&file, path))?.into_temp_path()
            }
        };
        let result = named.persist(target).map_err(|error| error.error);
        drop(lock);
        result
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.kind {
            Kind::Unnamed(file) => file.write(bytes),
            Kind::Named(file) => file.as_file_mut().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The folder of a target, and how names of its temporary files begin.
fn place(target: &Path) -> io::Result<(&Path, String)> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    Ok((folder, format!(".{}.", name.chars().take(NAME).collect::<String>())))
}

/// Removes temporary files of the same target that nobody writes any more; `now` was made just now.
fn clean(folder: &Path, prefix: &str, now: &File) {
    let Ok(now) = now.metadata().and_then(|facts| facts.modified()) else { return };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !is_part(&entry.file_name(), prefix) {
            continue;
        }
        let Ok(facts) = entry.metadata() else { continue };
        let is_old = facts.modified().is_ok_and(|then| now.duration_since(then).is_ok_and(|age| age >= LEFT_OVER));
        if facts.is_file() && is_old && lock::is_free(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_part(name: &OsStr, prefix: &str) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_suffix(SUFFIX));
    random.is_some_and(|random| random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// A file without a name, when it can be given one later.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Path) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;

    let flags = nix::fcntl::OFlag::O_TMPFILE.bits();
    let file = File::options().write(true).mode(0o600).custom_flags(flags).open(folder).ok()?;
    fs::metadata(descriptor(&file)).is_ok().then_some(file)
}

/// Where the system shows the file that is open.
#[cfg(target_os = "linux")]
fn descriptor(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;

    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use nix::fcntl::{AT_FDCWD, AtFlags};

    Ok(nix::unistd::linkat(AT_FDCWD, &descriptor(file), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Locks that end with the program that holds them.
#[cfg(unix)]
mod lock {
    use std::fs::File;
    use std::path::Path;

    use nix::fcntl::{Flock, FlockArg};

    pub(super) type Lock = Flock<File>;

    pub(super) fn lock(file: File) -> Option<Lock> {
        Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
    }

    pub(super) fn is_free(path: &Path) -> bool {
        File::options().read(true).write(true).open(path).ok().and_then(lock).is_some()
    }
}

#[cfg(not(unix))]
mod lock {
    use std::fs::File;
    use std::path::Path;

    pub(super) type Lock = ();

    pub(super) fn lock(_: File) -> Option<Lock> {
        None
    }

    pub(super) fn is_free(_: &Path) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_name_comes_with_the_end() {
        let folder = tempfile::tempdir().unwrap();
        // The longest name that there may be.
        let target = folder.path().join("x".repeat(255));
        let mut part = Part::beside(target.clone()).unwrap();
        part.write_all(b"new").unwrap();
        if cfg!(target_os = "linux") && matches!(part.kind, Kind::Unnamed(_)) {
            assert!(names(folder.path()).is_empty());
        }
        part.persist().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(folder.path()).len(), 1);
    }

    #[test]
    fn what_nobody_holds_is_taken_away_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, age: u64| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(file.metadata().unwrap().modified().unwrap() - Duration::from_secs(age)).unwrap();
            file
        };
        put(".a.har.000000.part", 61);
        put(".a.har.111111.part", 0);
        let held = lock::lock(put(".a.har.222222.part", 61)).unwrap();
        put(".a.har.3333333.part", 61);
        put(".b.har.444444.part", 61);
        fs::create_dir(folder.path().join(".a.har.555555.part")).unwrap();
        Part::beside(folder.path().join("a.har")).unwrap().persist().unwrap();
        let kept = [
            ".a.har.111111.part",
            ".a.har.222222.part",
            ".a.har.3333333.part",
            ".a.har.555555.part",
            ".b.har.444444.part",
            "a.har",
        ];
        assert_eq!(names(folder.path()), kept);
        drop(held);
    }

    #[test]
    fn a_part_in_use_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.har");
        let named = tempfile::Builder::new().prefix(".a.har.").suffix(SUFFIX).tempfile_in(folder.path()).unwrap();
        let path = named.path().to_owned();
        let lock = lock::lock(named.as_file().try_clone().unwrap());
        let busy = Part { kind: Kind::Named(named), target: target.clone(), lock };
        assert!(!lock::is_free(&path));
        Part::beside(target.clone()).unwrap().persist().unwrap();
        assert!(path.exists());
        busy.persist().unwrap();
        assert_eq!(names(folder.path()), ["a.har"]);
    }
}
