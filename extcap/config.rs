//! What the host is told about us: sentences of the extcap protocol, one a line.

use std::fmt::Write as _;

use crate::control;
use crate::library::{EngineOption, Kind};

/// For people who start it by hand.
pub const HELP: &str = "\
hardump records a HAR while Wireshark or tshark captures. It belongs into their extcap folder; they start it.

  tshark -i har -o extcap.har.source:lo -o extcap.har.har:/tmp/lo.har
  hardump --capture --extcap-interface har --fifo FIFO --source lo --har lo.har [--key-log KEYS]
          [--rotate-minutes N] [--rotate-megabytes N] [--extcap-capture-filter F] [--OPTION VALUE]...

HARSHARK_LIBRARY names libharshark, HARDUMP_DUMPCAP a program in the place of dumpcap.
";

/// Our one interface, and its toolbar.
pub fn interfaces() -> String {
    format!(
        "extcap {{version={}}}{{display=harshark}}\n\
         interface {{value=har}}{{display=HAR recorder}}\n\
         control {{number={}}}{{type=button}}{{display=Export HAR now}}{{tooltip=Write the entries that are over so far}}\n\
         control {{number={}}}{{type=button}}{{role=logger}}{{display=Log}}{{tooltip=What the HAR recorder did}}\n",
        env!("CARGO_PKG_VERSION"),
        control::EXPORT,
        control::LOG,
    )
}

/// dumpcap writes pcapng, which says its link types itself; the host wants one named here.
pub fn link_types() -> String {
    "dlt {number=1}{name=EN10MB}{display=As captured (pcapng)}\n".to_owned()
}

/// The configuration: what the recorder needs, then every option of the engine.
pub fn arguments(interfaces: &[(String, String)], options: &[EngineOption]) -> String {
    let mut out = String::new();
    let mut number = 0;
    let mut argument = |out: &mut String, text: &str| {
        let _ = writeln!(out, "arg {{number={number}}}{text}");
        number += 1;
        number - 1
    };
    let source = argument(
        &mut out,
        "{call=--source}{display=Capture on}{type=selector}{tooltip=The interface that dumpcap captures on}{group=Capture}",
    );
    for (at, (name, display)) in interfaces.iter().enumerate() {
        let default = if at == 0 { "true" } else { "false" };
        let (name, display) = (clean(name), clean(display));
        let _ = writeln!(out, "value {{arg={source}}}{{value={name}}}{{display={display}}}{{default={default}}}");
    }
    for text in [
        "{call=--har}{display=HAR file}{type=fileselect}{mustexist=false}{fileext=HAR (*.har)}\
         {tooltip=Where the HAR grows; without one it is named after the time, in the home folder}{group=Capture}",
        "{call=--rotate-minutes}{display=New file every N minutes}{type=unsigned}{range=0,525600}{default=0}\
         {tooltip=0: one file}{group=Capture}",
        "{call=--rotate-megabytes}{display=New file every N MB captured}{type=unsigned}{range=0,1048576}{default=0}\
         {tooltip=0: one file}{group=Capture}",
        "{call=--key-log}{display=TLS key log}{type=fileselect}{mustexist=false}\
         {tooltip=SSLKEYLOGFILE of the browser; followed while it grows}{group=TLS}",
    ] {
        argument(&mut out, text);
    }
    for option in options.iter().filter(|option| option.name != "only-selected") {
        let kind = match option.kind {
            Kind::Switch => "boolean",
            Kind::Choice => "selector",
            Kind::Text => "string",
        };
        let name = clean(&option.name);
        let (help, default) = (clean(&option.help), clean(&option.default));
        let title = title(&name);
        let mut text = format!("{{call=--{name}}}{{display={title}}}{{type={kind}}}{{tooltip={help}}}");
        if option.kind == Kind::Switch || !default.is_empty() && option.kind == Kind::Text {
            let _ = write!(text, "{{default={default}}}");
        }
        let _ = write!(text, "{{group={}}}", group(&option.name));
        let number = argument(&mut out, &text);
        for choice in &option.choices {
            let is_default = *choice == option.default;
            let choice = clean(choice);
            let _ =
                writeln!(out, "value {{arg={number}}}{{value={choice}}}{{display={choice}}}{{default={is_default}}}");
        }
    }
    out
}

/// The name in words. It becomes the title of a preference, and Wireshark aborts over one that has more than 80 bytes.
fn title(name: &str) -> String {
    let words = name.replace('-', " ");
    let first = words.get(..1).unwrap_or_default().to_uppercase();
    format!("{first}{}", words.get(1..).unwrap_or_default())
}

/// The tab that an option stands on.
fn group(name: &str) -> &'static str {
    match name {
        "sanitize" | "hide-addresses" => "Privacy",
        "request-bodies" | "response-bodies" | "max-body-size" | "decode-text" => "Bodies",
        "only-host" | "only-url" | "keep-unfulfilled" => "Filter",
        _ => "HAR",
    }
}

/// Braces and line ends are the protocol's own.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '{' => '(',
            '}' => ')',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}
