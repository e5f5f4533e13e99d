//! The table of options.

use std::ffi::{CString, c_char, c_int};
use std::sync::OnceLock;

use super::guard::{Fault, Status, c_text, status};
use crate::engine::options::{Kind, OPTIONS};

/// `harshark_option`.
#[repr(C)]
pub struct OptionFacts {
    name: *const c_char,
    kind: c_int,
    default_value: *const c_char,
    choices: *const c_char,
    help: *const c_char,
}

/// The texts of one option, which live as long as the library.
struct Texts {
    name: CString,
    kind: c_int,
    default_value: CString,
    choices: Option<CString>,
    help: CString,
}

fn table() -> &'static [Texts] {
    static TABLE: OnceLock<Vec<Texts>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let texts = OPTIONS.iter().map(|spec| {
            let (kind, choices) = match spec.kind {
                Kind::Switch => (0, None),
                Kind::Bytes => (1, None),
                Kind::Choice(words) => (2, Some(c_text(words.join(",")))),
                Kind::List => (3, None),
                Kind::Text => (4, None),
            };
            let (name, default_value, help) = (c_text(spec.name), c_text(spec.default), c_text(spec.help));
            Texts { name, kind, default_value, choices, help }
        });
        texts.collect()
    })
}

/// How many options there are.
#[unsafe(no_mangle)]
pub extern "C" fn harshark_option_count() -> usize {
    OPTIONS.len()
}

/// Tells about the option of this index.
///
/// # Safety
/// `option` is NULL or points at room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_option_at(index: usize, option: *mut OptionFacts) -> c_int {
    status(|| {
        let texts = table();
        let found = texts
            .get(index)
            .ok_or_else(|| Fault::new(Status::Argument, format!("there is no option {index}, only {}", texts.len())))?;
        if option.is_null() {
            return Err(Fault::new(Status::Argument, "option is NULL"));
        }
        let told = OptionFacts {
            name: found.name.as_ptr(),
            kind: found.kind,
            default_value: found.default_value.as_ptr(),
            choices: found.choices.as_ref().map_or(std::ptr::null(), |choices| choices.as_ptr()),
            help: found.help.as_ptr(),
        };
        // SAFETY: not NULL, and the caller has room there.
        unsafe { option.write(told) };
        Ok(())
    })
}
