//! What the host asks for. Wireshark writes `--name value` and `--name=value` as it pleases.

use std::ffi::OsString;
use std::path::PathBuf;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Help,
    Version,
    Interfaces,
    LinkTypes,
    Configuration,
    /// Is the capture filter a good one?
    Filter,
    Capture,
}

/// All that was said.
#[derive(Debug)]
pub struct Arguments {
    pub task: Task,
    /// Where packets go.
    pub fifo: Option<PathBuf>,
    /// Pipes of the toolbar: from the host, and to it.
    pub control_in: Option<PathBuf>,
    pub control_out: Option<PathBuf>,
    /// A capture filter for dumpcap.
    pub filter: Option<String>,
    /// The interface to capture on.
    pub source: Option<String>,
    pub har: Option<PathBuf>,
    pub key_log: Option<PathBuf>,
    pub rotate_minutes: u64,
    pub rotate_megabytes: u64,
    /// Options of the engine, by name.
    pub options: Vec<(String, String)>,
}

impl Arguments {
    /// Reads the words after the program's name.
    pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = Self {
            // Wireshark asks about a filter by the filter alone.
            task: Task::Filter,
            fifo: None,
            control_in: None,
            control_out: None,
            filter: None,
            source: None,
            har: None,
            key_log: None,
            rotate_minutes: 0,
            rotate_megabytes: 0,
            options: Vec::new(),
        };
        let mut asks_about_filter = false;
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let text = word.to_str().ok_or_else(|| format!("{}: not UTF-8", word.display()))?;
            let (name, joined) = match text.split_once('=') {
                Some((name, value)) => (name, Some(OsString::from(value))),
                None => (text, None),
            };
            match name {
                "--help" => arguments.task = Task::Help,
                "--version" => arguments.task = Task::Version,
                "--extcap-interfaces" => arguments.task = Task::Interfaces,
                "--extcap-dlts" => arguments.task = Task::LinkTypes,
                "--extcap-config" => arguments.task = Task::Configuration,
                "--capture" => arguments.task = Task::Capture,
                "--debug" => {}
                _ => {
                    let mut value =
                        || joined.clone().or_else(|| words.next()).ok_or_else(|| format!("{name} needs a value"));
                    asks_about_filter |= name == "--extcap-capture-filter";
                    arguments.set(name, &mut value)?;
                }
            }
        }
        if arguments.task == Task::Filter && !asks_about_filter {
            arguments.task = Task::Help;
        }
        Ok(arguments)
    }

    fn set(&mut self, name: &str, value: &mut dyn FnMut() -> Result<OsString, String>) -> Result<(), String> {
        let text = |value: OsString| value.into_string().map_err(|_| format!("{name}: not UTF-8"));
        let number =
            |value: OsString| text(value)?.trim().parse::<u64>().map_err(|_| format!("{name}: not a number from 0"));
        let path = |value: OsString| Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty());
        match name {
            // Which of our interfaces: there is one. The host's version changes nothing.
            "--extcap-interface" | "--extcap-version" | "--extcap-reload-option" => drop(value()?),
            "--extcap-capture-filter" => self.filter = Some(text(value()?)?).filter(|filter| !filter.is_empty()),
            "--fifo" => self.fifo = path(value()?),
            "--extcap-control-in" => self.control_in = path(value()?),
            "--extcap-control-out" => self.control_out = path(value()?),
            "--source" => self.source = Some(text(value()?)?).filter(|source| !source.is_empty()),
            "--har" => self.har = path(value()?),
            "--key-log" => self.key_log = path(value()?),
            "--rotate-minutes" => self.rotate_minutes = number(value()?)?,
            "--rotate-megabytes" => self.rotate_megabytes = number(value()?)?,
            _ => match name.strip_prefix("--") {
                Some(option) if !option.is_empty() => self.options.push((option.to_owned(), text(value()?)?)),
                _ => return Err(format!("{name}: what is that? See hardump --help")),
            },
        }
        Ok(())
    }
}
