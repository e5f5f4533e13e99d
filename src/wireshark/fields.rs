//! The bridge to the dissectors: a post-dissector that follows HTTP on the first pass with an engine of its own, and shows on
//! every pass what a packet belongs to.
//!
//! An entry is known when its exchange is over: on a single pass it shows from the frame that completes it on, on later passes
//! on all of its frames.
//!
//! Nothing is followed before somebody looks: a filter, a column, or a tree on the screen. When that happens after the first
//! pass, the packets so far are read from the file once more, through libwiretap.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::null;
use std::rc::Rc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;

use super::guard::{Part, guard};
use super::host::{Host, Ptr, field, text};
use super::layout::frame_flag;
use super::prefs::keep;
use super::reread::Reader;
use super::{loaded, objects, packet, prefs, secrets, tap};
use crate::base::FrameNumber;
use crate::engine::Engine;
use crate::har::Brief;

/// `header_field_info` behind the pointer that the host writes the field's number to: `hf_register_info`.
#[repr(C)]
struct Registration {
    id: *mut c_int,
    name: *const c_char,
    abbreviation: *const c_char,
    kind: c_int,
    display: c_int,
    strings: *const c_void,
    bitmask: u64,
    blurb: *const c_char,
    // What the host fills in.
    number: c_int,
    parent: c_int,
    reference: c_int,
    same_name_previous: c_int,
    same_name_next: *const c_void,
}

/// Kinds of fields: `FT_` and `BASE_`, the same in all versions.
#[derive(Clone, Copy)]
enum Kind {
    Number16,
    Number32,
    Millis,
    Text,
    /// Goes to that frame on a double click: `FT_FRAMENUM_REQUEST` or `FT_FRAMENUM_RESPONSE`.
    Frame(usize),
}

impl Kind {
    const fn codes(self) -> (c_int, c_int) {
        match self {
            Kind::Number16 => (5, 1),
            Kind::Number32 => (7, 1),
            Kind::Millis => (23, 0),
            Kind::Text => (26, 0),
            Kind::Frame(_) => (35, 0),
        }
    }
}

macro_rules! fields {
    ($($field:ident = $name:literal, $kind:expr, $help:literal;)*) => {
        /// The fields.
        #[derive(Clone, Copy)]
        #[allow(missing_docs, reason = "the table says it")]
        enum Field { $($field,)* }

        /// Filter name, kind, help.
        const FIELDS: &[(&str, Kind, &str)] = &[$(($name, $kind, $help),)*];
    };
}

fields! {
    Entry = "har.entry", Kind::Number32, "Number of the entry, in the order in which exchanges were over";
    Page = "har.page", Kind::Text, "Page of the entry, as far as pages were known then";
    Method = "har.method", Kind::Text, "Request method";
    Url = "har.url", Kind::Text, "Request URL";
    Version = "har.version", Kind::Text, "HTTP version, as HAR calls it";
    Status = "har.status", Kind::Number16, "Response status";
    Mime = "har.mime", Kind::Text, "Media type of the response";
    Time = "har.time", Kind::Millis, "Elapsed time in milliseconds";
    Blocked = "har.blocked", Kind::Millis, "Time between the phases before the request, in milliseconds";
    Dns = "har.dns", Kind::Millis, "Name lookup, in milliseconds";
    Connect = "har.connect", Kind::Millis, "Handshakes, TLS included, in milliseconds";
    Ssl = "har.ssl", Kind::Millis, "TLS handshake, in milliseconds";
    Send = "har.send", Kind::Millis, "First to last byte of the request, in milliseconds";
    Wait = "har.wait", Kind::Millis, "Until the first byte of the response, in milliseconds";
    Receive = "har.receive", Kind::Millis, "First to last byte of the response, in milliseconds";
    RequestIn = "har.request_in", Kind::Frame(1), "First frame of the request";
    ResponseIn = "har.response_in", Kind::Frame(2), "Frame that completes the response";
    Anomaly = "har.anomaly", Kind::Text, "What is wrong with the exchange";
}

static IDS: [AtomicI32; FIELDS.len()] = [const { AtomicI32::new(-1) }; FIELDS.len()];
static PROTOCOL: AtomicI32 = AtomicI32::new(-1);
/// Numbers of the two levels of the tree: the protocol, and an entry.
static SUBTREES: [AtomicI32; 2] = [const { AtomicI32::new(-1) }; 2];

/// An entry, ready to be shown.
struct Row {
    number: u32,
    texts: Vec<(Field, CString)>,
    millis: Vec<(Field, f64)>,
    status: Option<u16>,
    request: u32,
    response: Option<u32>,
}

/// What is known of the capture that is being dissected.
#[derive(Default)]
struct Bridge {
    engine: Option<Engine>,
    /// Entries that the engine has told of and nobody has read yet.
    told: Arc<Mutex<Vec<Brief>>>,
    rows: Vec<Rc<Row>>,
    /// Rows of a frame.
    by_frame: HashMap<u32, Vec<u32>, RandomState>,
    is_complete: bool,
    /// The last frame that was read from the file.
    caught_up: u32,
}

thread_local! {
    static BRIDGE: RefCell<Bridge> = RefCell::default();
    /// True between the host's routines for the start and the end of a capture.
    static IS_OPEN: Cell<bool> = const { Cell::new(false) };
}

/// Registers the fields.
pub(super) fn register(host: &Host, protocol: c_int) {
    PROTOCOL.store(protocol, Relaxed);
    let list: Vec<Registration> = FIELDS
        .iter()
        .zip(&IDS)
        .map(|(&(name, kind, help), id)| {
            let (code, display) = kind.codes();
            let strings = if let Kind::Frame(role) = kind { std::ptr::without_provenance(role) } else { null() };
            Registration {
                id: id.as_ptr(),
                name: keep(&title(name)),
                abbreviation: keep(name),
                kind: code,
                display,
                strings,
                bitmask: 0,
                blurb: keep(help),
                number: -1,
                parent: 0,
                reference: 0,
                same_name_previous: -1,
                same_name_next: null(),
            }
        })
        .collect();
    let subtrees: Vec<*mut c_int> = SUBTREES.iter().map(AtomicI32::as_ptr).collect();
    let (list, subtrees) = (list.leak(), subtrees.leak());
    // SAFETY: both lists stay, as the host wants of fields; the routines stay.
    unsafe {
        (host.proto_register_field_array)(protocol, list.as_mut_ptr().cast(), list.len() as c_int);
        (host.proto_register_subtree_array)(subtrees.as_ptr(), subtrees.len() as c_int);
        (host.register_init_routine)(opened);
        (host.register_cleanup_routine)(closed);
    }
}

/// `har.request_in` becomes `Request in`.
fn title(name: &str) -> String {
    match name.strip_prefix("har.").unwrap_or(name) {
        "url" => "URL".to_owned(),
        "dns" => "DNS".to_owned(),
        "ssl" => "SSL".to_owned(),
        word => {
            let word = word.replace('_', " ");
            let mut letters = word.chars();
            letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
        }
    }
}

/// Registers the post-dissector.
pub(super) fn hand_off(host: &Host) {
    // SAFETY: a function that stays, and the handle made for it.
    unsafe {
        let handle = (host.create_dissector_handle)(dissect, PROTOCOL.load(Relaxed));
        (host.register_postdissector)(handle);
    }
}

/// A capture is opened, or dissected anew.
extern "C" fn opened() {
    forget();
    IS_OPEN.set(true);
}

/// The capture is closed.
extern "C" fn closed() {
    if IS_OPEN.replace(false) {
        guard(Part::Objects, (), objects::closed);
    }
    forget();
}

fn forget() {
    for part in [Part::Fields, Part::Objects, Part::Secrets] {
        part.wake();
    }
    guard(Part::Fields, (), |_| {
        secrets::reset();
        BRIDGE.take();
    });
}

unsafe extern "C" fn dissect(tvb: Ptr, packet: Ptr, tree: Ptr, _data: Ptr) -> c_int {
    if packet.is_null() || tvb.is_null() {
        return 0;
    }
    guard(Part::Tap, (), |host| {
        if tap::wants_comments() {
            // SAFETY: what the host hands to a dissector; the record has its block now.
            unsafe {
                let number: u32 = field(packet, host.layout.packet_num);
                tap::remember(number.into(), packet::comment(host, field(packet, host.layout.packet_record)));
            }
        }
    });
    guard(Part::Objects, (), |host| {
        // SAFETY: what the host hands to a dissector.
        unsafe { objects::queue(host, packet) };
    });
    let shown = guard(Part::Fields, None, |host| {
        if !prefs::wants_fields() {
            return None;
        }
        // SAFETY: what the host hands to a dissector, in the layout of this version.
        let (number, is_first, session) = unsafe {
            let frame: Ptr = field(packet, host.layout.packet_frame);
            let is_first = !frame.is_null() && field::<u8>(frame, host.layout.frame_flags) & frame_flag::VISITED == 0;
            (field::<u32>(packet, host.layout.packet_num), is_first, field::<Ptr>(packet, host.layout.packet_session))
        };
        BRIDGE.with_borrow_mut(|bridge| {
            if !bridge.is_followed() {
                // SAFETY: the tree of the host, which may be null, and the number that it gave.
                let is_wanted = unsafe { (host.proto_field_is_referenced)(tree, PROTOCOL.load(Relaxed)) };
                if tree.is_null() || is_wanted.to_le_bytes()[0] == 0 {
                    return None;
                }
                let last = if is_first { Some(number.saturating_sub(1)) } else { loaded::count(host, session) };
                bridge.catch_up(host, session, last.unwrap_or(0));
            }
            if is_first && number > bridge.caught_up {
                secrets::attend(host, session);
                // SAFETY: as above.
                if let Some(frame) = unsafe { packet::dissected(host, packet, tvb) } {
                    bridge.follow(|engine| engine.push(&frame));
                }
            } else if !is_first && !bridge.is_complete && (!host.has_windows() || loaded::is_read(host, session)) {
                // Every frame was seen: what was never answered is known now.
                bridge.complete();
            }
            if tree.is_null() { None } else { Some((host, number, bridge.rows_of(number))) }
        })
    });
    if let Some((host, number, rows)) = shown.filter(|(_, _, rows)| !rows.is_empty()) {
        // Outside the guard's closure nothing is borrowed: an exception of the host may jump over this frame.
        // SAFETY: what the host hands to a dissector.
        unsafe { show(host, tvb, tree, number, &rows) };
    }
    0
}

impl Bridge {
    fn follow(&mut self, work: impl FnOnce(&mut Engine)) {
        let engine = self.engine.get_or_insert_with(|| {
            let mut options = prefs::options().unwrap_or_default();
            options.keep.requests = false;
            options.keep.responses = false;
            let mut engine = Engine::gathering(&options, secrets::keys());
            let told = self.told.clone();
            engine.observe(Box::new(move |brief| told.lock().unwrap_or_else(PoisonError::into_inner).push(brief)));
            engine
        });
        work(engine);
        self.read();
    }

    fn is_followed(&self) -> bool {
        self.engine.is_some() || self.is_complete
    }

    /// Reads what the first pass has shown to nobody. Read filters leave frames out and count anew: where a frame stands in the
    /// file says which it is.
    fn catch_up(&mut self, host: &'static Host, session: Ptr, last: u32) {
        // From here on there is an engine, whatever the file has.
        self.follow(|_| ());
        let Some(path) = loaded::name(host, session).filter(|path| last > 0 && path.is_file()) else { return };
        secrets::attend(host, session);
        let Ok(mut reader) = Reader::open(host, &path, &secrets::keys()) else { return };
        let mut number = 1;
        while number <= last && reader.advance().is_ok_and(|is_there| is_there) {
            let wanted = loaded::offset(host, session, number);
            if wanted.is_some_and(|wanted| wanted != reader.offset()) {
                continue;
            }
            if let Some(mut frame) = reader.frame() {
                frame.number = FrameNumber(number.into());
                self.follow(|engine| engine.push(&frame));
            }
            self.caught_up = number;
            number += 1;
        }
    }

    /// The first pass is over.
    fn complete(&mut self) {
        self.is_complete = true;
        if let Some(engine) = self.engine.take() {
            let _ = engine.finish();
        }
        self.read();
    }

    /// Takes what the engine has told.
    fn read(&mut self) {
        let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        for brief in told {
            let at = self.rows.len() as u32;
            let row = Row::new(at.saturating_add(1), &brief);
            let (first, last) = brief.request;
            let (start, end) = brief.response.unwrap_or((last, last));
            let mut frames: Vec<u32> = [first, last, start, end].iter().map(|frame| frame.0 as u32).collect();
            frames.sort_unstable();
            frames.dedup();
            for frame in frames {
                self.by_frame.entry(frame).or_default().push(at);
            }
            self.rows.push(Rc::new(row));
        }
    }

    fn rows_of(&self, frame: u32) -> Vec<Rc<Row>> {
        let places = self.by_frame.get(&frame).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|&at| self.rows.get(at as usize).cloned()).collect()
    }
}

impl Row {
    fn new(number: u32, brief: &Brief) -> Self {
        let mut texts = vec![
            (Field::Page, text(&brief.page_id())),
            (Field::Method, text(&brief.method)),
            (Field::Url, text(&brief.url)),
            (Field::Version, text(brief.version)),
        ];
        texts.extend(brief.mime.as_deref().map(|mime| (Field::Mime, text(mime))));
        texts.extend(brief.anomalies.iter().map(|kind| (Field::Anomaly, text(kind.code()))));
        let phases = &brief.phases;
        let millis = [
            (Field::Time, Some(phases.total)),
            (Field::Blocked, phases.blocked),
            (Field::Dns, phases.dns),
            (Field::Connect, phases.connect),
            (Field::Ssl, phases.ssl),
            (Field::Send, Some(phases.send)),
            (Field::Wait, Some(phases.wait)),
            (Field::Receive, Some(phases.receive)),
        ];
        Self {
            number,
            texts,
            millis: millis.into_iter().filter_map(|(field, micros)| Some((field, micros? as f64 / 1000.0))).collect(),
            status: brief.status,
            request: brief.request.0.0 as u32,
            response: brief.response.map(|(_, last)| last.0 as u32),
        }
    }
}

/// Adds the entries of a frame to its tree.
///
/// # Safety
/// `tvb` and `tree` are what the host handed to the post-dissector.
unsafe fn show(host: &Host, tvb: Ptr, tree: Ptr, frame: u32, rows: &[Rc<Row>]) {
    let id = |field: Field| IDS.get(field as usize).map_or(-1, |id| id.load(Relaxed));
    let [protocol_level, entry_level] = &SUBTREES;
    // SAFETY: numbers that the host gave, a range of no bytes, texts that it copies, and items it made itself; it takes null for
    // a tree that nobody wants to see.
    unsafe {
        let item = (host.proto_tree_add_item)(tree, PROTOCOL.load(Relaxed), tvb, 0, 0, 0);
        let tree = (host.proto_item_add_subtree)(item, protocol_level.load(Relaxed));
        for row in rows {
            let item = (host.proto_tree_add_uint)(tree, id(Field::Entry), tvb, 0, 0, row.number);
            let tree = (host.proto_item_add_subtree)(item, entry_level.load(Relaxed));
            for (field, text) in &row.texts {
                (host.proto_tree_add_string)(tree, id(*field), tvb, 0, 0, text.as_ptr());
            }
            if let Some(status) = row.status {
                (host.proto_tree_add_uint)(tree, id(Field::Status), tvb, 0, 0, status.into());
            }
            for (field, millis) in &row.millis {
                (host.proto_tree_add_double)(tree, id(*field), tvb, 0, 0, *millis);
            }
            if row.request != frame {
                (host.proto_tree_add_uint)(tree, id(Field::RequestIn), tvb, 0, 0, row.request);
            }
            if let Some(response) = row.response.filter(|response| *response != frame) {
                (host.proto_tree_add_uint)(tree, id(Field::ResponseIn), tvb, 0, 0, response);
            }
        }
    }
}
