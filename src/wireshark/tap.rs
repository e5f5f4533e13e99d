//! `tshark -z har,FILE[,filter]`: every frame of the run goes to a session, whose HAR is written at the end.
//!
//! A filter selects frames: as in the menu, an entry is kept when a frame of it passes, and reassembly sees everything. For
//! this the filter gets a listener of its own. The host calls the listener that registered last first.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use super::guard::{Part, guard, quietly};
use super::host::{Host, Ptr, StatTapUi, TapPlugin, field, from_host, text};
use super::{export, loaded, packet, prefs, secrets};
use crate::base::Limits;
use crate::capture::secrets_ahead;
use crate::engine::Options;
use crate::run::{Output, RunError, Session, Target};

/// `TAP_PACKET_DONT_REDRAW`, `TAP_PACKET_FAILED`: go on, or call no more.
const GO_ON: c_int = 0;
const STOP: c_int = 2;
/// `REGISTER_STAT_GROUP_UNSORTED`.
const UNSORTED: c_int = 2;

/// One `-z har`.
struct Tap {
    options: Options,
    target: Target,
    /// Opened at once, so that a run of hours does not find out at its end that it cannot write.
    output: Option<Output>,
    session: Option<Session>,
    capture: Option<PathBuf>,
    /// The last frame that passed the filter; every frame passes without one.
    passed: u64,
    has_filter: bool,
}

thread_local! {
    /// Taps in the order of the command line; a listener's data is the place of its tap, counted from 1.
    static TAPS: RefCell<Vec<Tap>> = const { RefCell::new(Vec::new()) };
    /// Taps whose end the host has not told yet.
    static RUNNING: Cell<usize> = const { Cell::new(0) };
    static HAS_FAILED: Cell<bool> = const { Cell::new(false) };
    /// Number and comment of the frame being dissected: the host takes it away before taps are called.
    static COMMENT: RefCell<Option<(u64, String)>> = const { RefCell::new(None) };
}

/// Announces `-z har`.
pub(super) fn announce(host: &Host) {
    let plugin = Box::leak(Box::new(TapPlugin { register_tap_listener: Some(register) }));
    // SAFETY: the host keeps the pointer; it stays.
    unsafe { (host.tap_register_plugin)(plugin) };
}

extern "C" fn register() {
    guard(Part::Start, (), |host| {
        let ui = Box::leak(Box::new(StatTapUi {
            group: UNSORTED,
            title: null_mut(),
            cli_string: c"har".as_ptr(),
            init: start,
            nparams: 0,
            params: null_mut(),
        }));
        // SAFETY: the host keeps the pointer; it stays.
        unsafe { (host.register_stat_tap_ui)(ui, null_mut()) };
    });
}

/// The host met `-z har…`.
unsafe extern "C" fn start(argument: *const c_char, _data: Ptr) -> u8 {
    let has_started = guard(Part::Tap, false, |host| {
        // SAFETY: the text of the command line, or null.
        let argument = unsafe { from_host(argument) }.unwrap_or_default();
        match begin(host, &argument) {
            Ok(()) => true,
            Err(message) => {
                host.report(&message);
                false
            }
        }
    });
    if !has_started && Host::get().is_none_or(|host| !host.has_windows()) {
        // Before 4.6 the host does not ask whether it went well.
        std::process::exit(1);
    }
    u8::from(has_started)
}

fn begin(host: &'static Host, argument: &str) -> Result<(), String> {
    let rest = argument.strip_prefix("har").and_then(|rest| rest.strip_prefix(',')).unwrap_or_default();
    let (file, filter) = rest.split_once(',').unwrap_or((rest, ""));
    if file.is_empty() {
        return Err("-z har: a file is missing: -z har,FILE[,filter], where FILE may be - for standard output".into());
    }
    let options = prefs::options().map_err(|error| format!("-z har: preference {error}"))?;
    let target = if file == "-" { Target::Stdout } else { Target::File(file.into()) };
    if host.has_windows() {
        // Wireshark loads the capture before it looks at -z: its packets are read once more.
        return export::from_command_line(host, options, target, filter);
    }
    let output = Output::open(&target, &[]).map_err(|error| format!("-z har: {error}"))?;
    let has_filter = !filter.is_empty();
    let place = TAPS.with_borrow_mut(|taps| {
        let (output, session, capture) = (Some(output), None, None);
        taps.push(Tap { options, target, output, session, capture, passed: 0, has_filter });
        taps.len()
    });
    let data = std::ptr::without_provenance_mut::<c_void>(place);
    listen(host, c"", take, data, Some(end))?;
    RUNNING.set(RUNNING.get() + 1);
    if has_filter {
        listen(host, &text(filter), select, data, None).map_err(|error| format!("-z har: {error}"))?;
    }
    Ok(())
}

/// Registers a listener for frames.
fn listen(
    host: &Host,
    filter: &CStr,
    packet: super::host::TapPacket,
    data: Ptr,
    finish: Option<super::host::TapCall>,
) -> Result<(), String> {
    let filter = if filter.is_empty() { std::ptr::null() } else { filter.as_ptr() };
    let draw = if finish.is_some() { draw } else { ignore };
    // SAFETY: the host copies the texts; data is not a pointer that anybody reads through; the functions stay.
    let error = unsafe { (host.register_tap_listener)(c"frame".as_ptr(), data, filter, 0, None, packet, draw, finish) };
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: a GString begins with the pointer to its text.
    Err(unsafe { from_host(field(error, 0)) }.unwrap_or_default())
}

fn with_tap<R>(data: Ptr, work: impl FnOnce(&mut Tap) -> R) -> Option<R> {
    TAPS.with_borrow_mut(|taps| data.addr().checked_sub(1).and_then(|place| taps.get_mut(place)).map(work))
}

/// True when comments of frames are wanted.
pub(super) fn wants_comments() -> bool {
    RUNNING.get() > 0
}

/// Remembers a frame's comment until its taps are called.
pub(super) fn remember(number: u64, comment: Option<String>) {
    COMMENT.set(comment.map(|comment| (number, comment)));
}

/// A frame passed the filter.
unsafe extern "C" fn select(data: Ptr, packet: Ptr, _dissect: Ptr, _info: Ptr, _flags: c_uint) -> c_int {
    guard(Part::Tap, STOP, |host| {
        if !packet.is_null() {
            // SAFETY: the packet that the host works on.
            let number: u32 = unsafe { field(packet, host.layout.packet_num) };
            with_tap(data, |tap| tap.passed = number.into());
        }
        GO_ON
    })
}

/// A frame.
unsafe extern "C" fn take(data: Ptr, packet: Ptr, dissect: Ptr, _info: Ptr, _flags: c_uint) -> c_int {
    guard(Part::Tap, STOP, |host| {
        if packet.is_null() || dissect.is_null() {
            return GO_ON;
        }
        // SAFETY: what the host hands to a tap, for the packet it works on.
        let (session, frame) = unsafe {
            let session: Ptr = field(dissect, host.layout.dissect_session);
            (session, packet::dissected(host, packet, field(dissect, host.layout.dissect_tvb)))
        };
        let Some(mut frame) = frame else { return GO_ON };
        secrets::attend(host, session);
        let comment = COMMENT.take().filter(|(number, _)| *number == frame.number.0);
        frame.comment = comment.as_ref().map(|(_, text)| text.as_str());
        let fed = with_tap(data, |tap| {
            frame.selected = tap.has_filter && tap.passed == frame.number.0;
            tap.feed(host, session, &frame)
        });
        COMMENT.set(comment);
        match fed {
            Some(Err(message)) => {
                fail(host, &message);
                STOP
            }
            _ => GO_ON,
        }
    })
}

impl Tap {
    fn feed(&mut self, host: &Host, epan: Ptr, frame: &crate::capture::Frame<'_>) -> Result<(), String> {
        // Once the output is gone, the tap has failed.
        if self.output.is_none() {
            return Ok(());
        }
        if self.session.is_none() {
            self.capture = loaded::name(host, epan);
            if let (Some(capture), Target::File(target)) = (&self.capture, &self.target)
                && is_same_file(capture, target)
            {
                self.output = None;
                return Err(format!("-z har: {}", RunError::OverwritesCapture(target.clone())));
            }
        }
        let result = self.session().push(frame);
        result.map_err(|error| {
            self.output = None;
            self.session = None;
            format!("-z har: {error}")
        })
    }

    fn session(&mut self) -> &mut Session {
        let Self { options, capture, has_filter, .. } = self;
        self.session.get_or_insert_with(|| {
            options.har.only_selected = *has_filter;
            let name = capture.as_deref().map(name).unwrap_or_default();
            Session::new(options, &name, secrets::keys())
        })
    }

    fn write(&mut self) -> Result<(), String> {
        let Some(output) = self.output.take() else { return Ok(()) };
        self.session();
        let Some(mut session) = self.session.take() else { return Ok(()) };
        // Statistics of interfaces stand behind the packets, and are not handed to taps.
        let dropped = self.capture.as_deref().map(|path| secrets_ahead(path, &Limits::default(), &mut |_| {}));
        session.tell_dropped(dropped.and_then(Result::ok).unwrap_or_default());
        match session.write(output) {
            Err(error) if !error.is_closed_pipe() => Err(format!("-z har: {error}")),
            _ => Ok(()),
        }
    }
}

/// What a capture is called in its HAR.
pub(super) fn name(path: &Path) -> String {
    match path.file_name() {
        Some(name) if name != "-" => name.display().to_string(),
        _ => "standard input".to_owned(),
    }
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn fail(host: &Host, message: &str) {
    HAS_FAILED.set(true);
    host.report(message);
}

/// All frames were seen: the host wants results.
unsafe extern "C" fn draw(data: Ptr) {
    let drawn = guard(Part::Tap, false, |host| {
        secrets::last_look();
        if let Some(Err(message)) = with_tap(data, Tap::write) {
            fail(host, &message);
        }
        true
    });
    if !drawn {
        HAS_FAILED.set(true);
    }
}

unsafe extern "C" fn ignore(_data: Ptr) {}

/// The host takes the listener away. It would end well whatever became of a HAR; the last tap to end sees to it that it does not.
unsafe extern "C" fn end(data: Ptr) {
    quietly(|| {
        let _ = with_tap(data, |tap| (tap.output.take(), tap.session.take()));
    });
    RUNNING.set(RUNNING.get().saturating_sub(1));
    if RUNNING.get() == 0 && HAS_FAILED.get() {
        std::process::exit(1);
    }
}
