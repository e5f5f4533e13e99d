//! File > HAR > Export as HAR…, and the questions before it.

use std::cell::Cell;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use super::export::{self, NOTHING_LOADED, Wish};
use super::guard::{Part, guard};
use super::host::{Host, Ptr};
use super::loaded::{Loaded, Which};
use super::save_dialog::{self, Chosen};
use super::{prefs, window};
use crate::engine::Options;
use crate::engine::options::OptionError;
use crate::run::Target;

/// Adds the menu. In tshark it is never shown.
pub(super) fn register(host: &Host, protocol: c_int) {
    // SAFETY: texts that stay, a menu that the host made, and a function that stays.
    unsafe {
        let menu = (host.ext_menubar_register_menu)(protocol, c"HAR".as_ptr(), 1);
        if menu.is_null() {
            return;
        }
        (host.ext_menubar_set_parentmenu)(menu, c"File".as_ptr());
        (host.ext_menubar_add_entry)(
            menu,
            c"Export as HAR\u{2026}".as_ptr(),
            c"Write the HTTP in this capture as an HTTP Archive".as_ptr(),
            open,
            null_mut(),
        );
    }
}

thread_local! {
    /// True while the questions are on the screen: the dialog is not modal, and one is enough.
    static IS_ASKING: Cell<bool> = const { Cell::new(false) };
}

/// Held by the dialog, however it ends.
struct Asking;

impl Drop for Asking {
    fn drop(&mut self) {
        IS_ASKING.set(false);
    }
}

unsafe extern "C" fn open(_gui: c_int, _object: Ptr, _data: Ptr) {
    guard(Part::Menu, (), begin);
}

/// Asks what to export, then exports.
pub(super) fn begin(host: &'static Host) {
    if IS_ASKING.get() {
        return;
    }
    let Some(loaded) = Loaded::look(host, Which::All).filter(|loaded| loaded.count > 0) else {
        return host.report(NOTHING_LOADED);
    };
    match prefs::options() {
        Ok(options) => ask(host, Form::new(host, &loaded, &options)),
        Err(error) => host.report(&format!("Preferences > Protocols > HAR: {error}")),
    }
}

/// The questions, in the order of the dialog.
struct Form {
    which: String,
    bodies: String,
    sanitize: String,
    key_log: String,
    /// Asked for here only when there is no save dialog.
    file: String,
    replace: String,
    /// True when the desktop's save dialog asks for the file.
    has_save_dialog: bool,
}

impl Form {
    fn new(host: &Host, loaded: &Loaded, options: &Options) -> Self {
        use crate::har::Level;
        let keep = options.keep.requests || options.keep.responses;
        let sanitize = match options.har.sanitise {
            Level::Off => "off",
            Level::Basic => "basic",
            Level::Strict => "strict",
        };
        Self {
            which: "all".into(),
            bodies: yes_no(keep).into(),
            sanitize: sanitize.into(),
            key_log: prefs::key_log(host).map(|path| path.display().to_string()).unwrap_or_default(),
            file: proposal(loaded).display().to_string(),
            replace: yes_no(false).into(),
            has_save_dialog: save_dialog::is_available(host),
        }
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("Packets (all, displayed, marked)", self.which.clone()),
            ("Bodies (yes, no)", self.bodies.clone()),
            ("Sanitize (off, basic, strict)", self.sanitize.clone()),
            ("TLS key log", self.key_log.clone()),
        ];
        if !self.has_save_dialog {
            fields.push(("File", self.file.clone()));
            fields.push(("Replace an existing file (yes, no)", self.replace.clone()));
        }
        fields
    }

    fn fill(&mut self, answers: Vec<String>) {
        let mut answers = answers.into_iter().map(|answer| answer.trim().to_owned());
        let fields = [
            &mut self.which,
            &mut self.bodies,
            &mut self.sanitize,
            &mut self.key_log,
            &mut self.file,
            &mut self.replace,
        ];
        for (field, answer) in fields.into_iter().zip(&mut answers) {
            *field = answer;
        }
    }

    /// What the user wants but for the file, or what cannot be understood.
    fn wish(&self, mut options: Options) -> Result<(Which, Options), String> {
        let which = match self.which.to_ascii_lowercase().as_str() {
            "" | "all" => Which::All,
            "displayed" => Which::Displayed,
            "marked" => Which::Marked,
            other => return Err(format!("Packets: {other:?} is none of all, displayed, marked")),
        };
        let mut set = |name, value: &str| options.set(name, value).map_err(|error: OptionError| error.to_string());
        set("request-bodies", &self.bodies)?;
        set("response-bodies", &self.bodies)?;
        set("sanitize", &self.sanitize.to_ascii_lowercase())?;
        Ok((which, options))
    }
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// Where a HAR of this capture would go.
fn proposal(loaded: &Loaded) -> PathBuf {
    let stem = if loaded.is_temporary { "capture".to_owned() } else { loaded.stem() };
    let beside = || match loaded.is_temporary {
        true => std::env::home_dir(),
        false => std::path::absolute(&loaded.path).ok().and_then(|path| path.parent().map(Path::to_owned)),
    };
    let folder = prefs::folder().or_else(beside).unwrap_or_default();
    // Not `with_extension`: the stem of `a.b.pcapng` is `a.b`.
    folder.join(format!("{stem}.har"))
}

fn ask(host: &'static Host, form: Form) {
    let fields = form.fields();
    IS_ASKING.set(true);
    let asking = Asking;
    let answer = Box::new(move |answers| {
        drop(asking);
        answered(host, form, answers);
    });
    if !window::ask(host, "Export as HAR", &fields, answer) {
        host.report("This host has no dialogs: use tshark -z har,FILE");
    }
}

fn answered(host: &'static Host, mut form: Form, answers: Vec<String>) {
    form.fill(answers);
    let wish = prefs::options().map_err(|error| error.to_string()).and_then(|options| form.wish(options));
    let (which, options) = match wish {
        Ok(wish) => wish,
        Err(message) => {
            host.report(&message);
            return ask(host, form);
        }
    };
    let path = if form.has_save_dialog {
        match save_dialog::choose(host, Path::new(&form.file)) {
            Chosen::Path(path) => path,
            Chosen::Nothing => return,
            Chosen::Unavailable => PathBuf::from(&form.file),
        }
    } else {
        let path = PathBuf::from(&form.file);
        if form.file.is_empty() {
            host.report("File: name the file to write");
            return ask(host, form);
        }
        if path.exists() && !matches!(form.replace.to_ascii_lowercase().as_str(), "yes" | "true" | "1" | "on") {
            host.report(&format!("{} exists. Say yes to replace it, or name another file.", path.display()));
            return ask(host, form);
        }
        path
    };
    let key_log = (!form.key_log.is_empty()).then(|| PathBuf::from(&form.key_log));
    export::run(host, Wish { target: Target::File(path), which, options, key_log });
}
