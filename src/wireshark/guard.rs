//! The border to the host: nothing that goes wrong on this side gets across.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::host::Host;

/// The parts of the plugin, each of which can fail alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Part {
    /// Registration at the start.
    Start,
    /// `har.*` fields.
    Fields,
    /// `-z har`.
    Tap,
    /// Menus, dialogs and the export behind them.
    Menu,
    /// The list of File > Export Objects.
    Objects,
    /// Secrets inside captures.
    Secrets,
}

impl Part {
    /// Its name, for people and for tests.
    const fn name(self) -> &'static str {
        match self {
            Part::Start => "start",
            Part::Fields => "fields",
            Part::Tap => "tap",
            Part::Menu => "menu",
            Part::Objects => "objects",
            Part::Secrets => "secrets",
        }
    }

    /// Parts that are called for every packet rest after a fault: a message for each packet would be worse than the fault.
    const fn rests(self) -> bool {
        matches!(self, Part::Fields | Part::Tap | Part::Objects | Part::Secrets)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// True when it rests after a fault.
    pub(super) fn is_resting(self) -> bool {
        RESTING.load(Relaxed) & self.bit() != 0
    }

    /// Lets it work again, with new state.
    pub(super) fn wake(self) {
        RESTING.fetch_and(!self.bit(), Relaxed);
    }
}

static RESTING: AtomicU32 = AtomicU32::new(0);

/// Runs what a callback does. A panic becomes a message of the host, and `otherwise` the result. Everything the host calls goes
/// through here; pointers are checked for null by whoever reads through them.
pub(super) fn guard<R>(part: Part, otherwise: R, work: impl FnOnce(&'static Host) -> R) -> R {
    let Some(host) = Host::get().filter(|_| !part.is_resting()) else { return otherwise };
    let work = AssertUnwindSafe(|| {
        #[cfg(debug_assertions)]
        rehearse(part);
        work(host)
    });
    match catch_unwind(work) {
        Ok(result) => result,
        Err(cause) => {
            if part.rests() {
                RESTING.fetch_or(part.bit(), Relaxed);
            }
            // The message itself must not bring the host down either.
            let _ = catch_unwind(AssertUnwindSafe(|| host.report(&complaint(part, cause.as_ref()))));
            otherwise
        }
    }
}

/// Runs what must run whatever rests, and has nothing to tell: the end of things.
pub(super) fn quietly(work: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(work));
}

fn complaint(part: Part, cause: &(dyn Any + Send)) -> String {
    let cause = cause.downcast_ref::<&str>().copied().or_else(|| cause.downcast_ref::<String>().map(String::as_str));
    let rest = if part.rests() { " This part of HAR rests until the next capture is opened." } else { "" };
    format!("HAR: internal fault in {}: {}.{rest}", part.name(), cause.unwrap_or("unknown"))
}

/// Faults on demand, for the tests: only debug builds listen.
#[cfg(debug_assertions)]
#[allow(clippy::panic, reason = "this is what is being rehearsed")]
fn rehearse(part: Part) {
    if std::env::var_os("HARSHARK_FAULT").is_some_and(|wanted| wanted == part.name()) {
        panic!("rehearsed");
    }
}
