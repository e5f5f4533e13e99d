//! The desktop's own save dialog. The host has no C function for it; its Qt library has one, which is called as C++ would.
//! Where this is not possible, the text dialog asks for the path.

use std::path::{Path, PathBuf};

use super::host::Host;

/// What the user said.
pub(super) enum Chosen {
    /// This path; the dialog asked before it gave that of a file that exists.
    Path(PathBuf),
    /// Nothing.
    Nothing,
    /// There is no such dialog here.
    Unavailable,
}

/// True when the dialog can be shown.
pub(super) fn is_available(host: &Host) -> bool {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    return qt::Qt::find(host).is_some();
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    return false;
}

/// Asks for a path, with one as a start.
pub(super) fn choose(host: &Host, start: &Path) -> Chosen {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    if let Some(qt) = qt::Qt::find(host) {
        return match qt.choose("Export as HAR", &start.to_string_lossy(), "HTTP Archive (*.har);;All files (*)") {
            Some(path) if !path.is_empty() => Chosen::Path(path.into()),
            _ => Chosen::Nothing,
        };
    }
    let _ = (host, start);
    Chosen::Unavailable
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod qt {
    use std::ffi::{c_char, c_int};
    use std::ptr::null_mut;

    use crate::wireshark::host::{Host, Ptr};

    /// `QString` and `QByteArray`: one pointer in Qt 5; pointer, start, length in Qt 6. Functions that return one are given its
    /// place as a first argument, in the C++ ABI of this platform. None is freed: a few bytes for each dialog.
    type Value = [usize; 3];

    type Choose = unsafe extern "C" fn(*mut Value, Ptr, *const Value, *const Value, *const Value, Ptr, c_int) -> Ptr;
    type Read = unsafe extern "C" fn(*mut Value, *const Value) -> Ptr;

    #[derive(Clone, Copy)]
    enum Make {
        Five(unsafe extern "C" fn(*mut Value, *const c_char, c_int) -> Ptr),
        Six(unsafe extern "C" fn(*mut Value, usize, *const c_char) -> Ptr),
    }

    /// The functions of Qt.
    pub(super) struct Qt {
        choose: Choose,
        make: Make,
        read: Read,
    }

    impl Qt {
        pub(super) fn find(host: &Host) -> Option<Self> {
            // SAFETY: the mangled names state the types of the arguments.
            unsafe {
                let library = &host.library;
                let choose = library.get::<Choose>(
                    b"_ZN11QFileDialog15getSaveFileNameEP7QWidgetRK7QStringS4_S4_PS2_6QFlagsINS_6OptionEE\0",
                );
                let read = library.get::<Read>(b"_ZN7QString13toUtf8_helperERKS_\0");
                let make = match library.get(b"_ZN7QString15fromUtf8_helperEPKci\0") {
                    Ok(make) => Make::Five(*make),
                    Err(_) => Make::Six(*library.get(b"_ZN7QString8fromUtf8E14QByteArrayView\0").ok()?),
                };
                Some(Self { choose: *choose.ok()?, make, read: *read.ok()? })
            }
        }

        fn string(&self, text: &str) -> Value {
            let mut value = [0; 3];
            let (start, len) = (text.as_ptr().cast(), text.len());
            // SAFETY: the bytes are copied; the value has room for either version.
            unsafe {
                match self.make {
                    Make::Five(make) => make(&mut value, start, c_int::try_from(len).unwrap_or(0)),
                    Make::Six(make) => make(&mut value, len, start),
                };
            }
            value
        }

        fn text(&self, value: &Value) -> Option<String> {
            let mut bytes = [0usize; 3];
            // SAFETY: a string in, and room for a byte array of either version. Qt 5's points to a header of reference count
            // and length (i32 each), allocation, and the offset of the bytes from the header.
            unsafe {
                (self.read)(&mut bytes, value);
                let (start, len) = match self.make {
                    Make::Five(_) => {
                        let header = std::ptr::with_exposed_provenance::<u8>(bytes[0]);
                        if header.is_null() {
                            return None;
                        }
                        let len = header.add(4).cast::<i32>().read();
                        (header.offset(header.add(16).cast::<isize>().read()), usize::try_from(len).ok()?)
                    }
                    Make::Six(_) => (std::ptr::with_exposed_provenance::<u8>(bytes[1]), bytes[2]),
                };
                if start.is_null() {
                    return None;
                }
                Some(String::from_utf8_lossy(std::slice::from_raw_parts(start, len)).into_owned())
            }
        }

        pub(super) fn choose(&self, title: &str, start: &str, filter: &str) -> Option<String> {
            let (title, start, filter) = (self.string(title), self.string(start), self.string(filter));
            let mut chosen = [0; 3];
            // SAFETY: a place for the result, three strings, and what may be null: the parent and the filter that was chosen.
            unsafe { (self.choose)(&mut chosen, null_mut(), &title, &start, &filter, null_mut(), 0) };
            self.text(&chosen)
        }
    }
}
