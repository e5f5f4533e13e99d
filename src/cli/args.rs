//! The command line: flags made from the table of options, and those that only a command line has.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};

use crate::engine::Share;
use crate::engine::options::{Kind, OPTIONS, Options, Spec};
use crate::run::{Format, Target, UserSecrets};

/// What the user asked for.
#[derive(Debug)]
pub struct Args {
    /// Captures to read; `-` is standard input.
    pub captures: Vec<PathBuf>,
    /// Where to write.
    pub target: Target,
    /// What to write.
    pub format: Format,
    /// What to decrypt with.
    pub secrets: UserSecrets,
    /// How to convert.
    pub options: Options,
    /// Folder of temporary files.
    pub temporary: Option<PathBuf>,
    /// Shards that work beside one another; 0 for as many as there are cores.
    pub jobs: usize,
    /// File for the log, instead of standard error.
    pub log: Option<PathBuf>,
    /// Say nothing but errors.
    pub quiet: bool,
    /// How much to tell: 0 warnings, 1 what is done, 2 and more details.
    pub verbose: u8,
    /// Tell what the run cost at its end.
    pub resource_usage: bool,
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  harshark capture.pcapng                      write capture.pcapng.har
  harshark ring_*.pcapng -o all.har            rotated captures as one
  harshark trace.pcap --keylog keys.log        decrypt TLS with a key log
  harshark trace.pcap --sanitize=strict        take secrets out before sharing
  tcpdump -w - | harshark - --format ndjson    one entry a line while capturing

Exit status: 0 done, 1 done but the capture is damaged, 2 wrong usage or a file that cannot be read or written.";

/// The command with all its flags.
pub fn command() -> Command {
    let file = || Arg::new("").value_parser(value_parser!(PathBuf)).value_hint(ValueHint::FilePath);
    let fixed = [
        file()
            .id("captures")
            .value_name("CAPTURE")
            .required(true)
            .num_args(1..)
            .help("Packet captures: pcap or pcapng, also compressed with gzip, zstd or lz4; - for standard input"),
        file()
            .id("output")
            .short('o')
            .long("output")
            .value_name("OUT")
            .help("Where to write; - for standard output [default: CAPTURE.har]"),
        Arg::new("format")
            .long("format")
            .value_name("FORMAT")
            .value_parser(["har", "ndjson", "parquet"])
            .default_value("har")
            .help("har; ndjson: one entry a line, written as soon as it is complete; parquet: a table with one row an entry"),
        file()
            .id("keylog")
            .long("keylog")
            .value_name("FILE")
            .action(ArgAction::Append)
            .help("TLS key log (SSLKEYLOGFILE format); may be given again [default: $SSLKEYLOGFILE]"),
        file()
            .id("rsa-key")
            .long("rsa-key")
            .value_name("FILE")
            .action(ArgAction::Append)
            .help("RSA private key (PEM) of a server, for TLS 1.2 and older with RSA key exchange"),
        Arg::new("psk")
            .long("psk")
            .value_name("HEX")
            .action(ArgAction::Append)
            .help("Pre-shared key of TLS 1.2, in hexadecimal digits"),
        Arg::new("drop-bodies")
            .short('d')
            .long("drop-bodies")
            .action(ArgAction::SetTrue)
            .help("Leave out all bodies; saves memory and size"),
        Arg::new("no-bodies")
            .long("no-bodies")
            .value_name("WHICH")
            .value_parser(["all", "requests", "responses"])
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("all")
            .help("Leave out the bodies of requests, of responses, or all"),
        Arg::new("keep")
            .short('k')
            .long("keep-unfulfilled-requests")
            .action(ArgAction::SetTrue)
            .overrides_with("drop-unfulfilled")
            .help("Keep requests that were never answered (the default)"),
        Arg::new("drop-unfulfilled")
            .long("drop-unfulfilled")
            .action(ArgAction::SetTrue)
            .help("Leave out requests that were never answered"),
        Arg::new("resource-usage")
            .short('r')
            .long("resource-usage")
            .action(ArgAction::SetTrue)
            .help("Tell at the end what the run cost"),
        Arg::new("jobs")
            .short('j')
            .long("jobs")
            .value_name("N")
            .value_parser(value_parser!(u16).range(1..=256))
            .help("Threads that read connections beside one another [default: all cores]; the result is the same"),
        Arg::new("shard")
            .long("shard")
            .value_name("I/N")
            .value_parser(share)
            .help("Read only the connections of part I of N, 1/N to N/N, chosen by their pair of addresses; for several machines"),
        file().id("log").short('l').long("log").value_name("FILE").help("Write the log to a file"),
        file()
            .id("temporary")
            .long("temporary")
            .value_name("FOLDER")
            .value_hint(ValueHint::DirPath)
            .help("Folder for temporary files of large runs [default: the system's]"),
        Arg::new("quiet").short('q').long("quiet").action(ArgAction::SetTrue).help("Say nothing but errors"),
        Arg::new("verbose").short('v').long("verbose").action(ArgAction::Count).help("Tell more; twice for details"),
    ];
    Command::new("harshark")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Packet captures become HAR (HTTP Archive 1.2)")
        .after_help(EXAMPLES)
        .styles(STYLES)
        .args(fixed)
        .args(OPTIONS.iter().filter(|spec| !COVERED.contains(&spec.name)).map(flag))
}

/// Options that flags of other names set, and one that speaks of what files do not have.
const COVERED: &[&str] = &["request-bodies", "response-bodies", "keep-unfulfilled", "only-selected"];

/// The flag of an option: `--NAME`, or `--no-NAME` for a switch that is on by default.
fn flag(spec: &'static Spec) -> Arg {
    let arg = Arg::new(spec.name).long(spec.name).help(spec.help);
    match (spec.kind, spec.default) {
        (Kind::Switch, "true") => {
            arg.long(format!("no-{}", spec.name)).action(ArgAction::SetTrue).help(format!("Not: {}", spec.help))
        }
        (Kind::Switch, _) => arg.action(ArgAction::SetTrue),
        (Kind::Choice(words), default) => {
            let arg = arg.value_name("LEVEL").value_parser(words.to_vec()).num_args(0..=1).require_equals(true);
            arg.default_missing_value(words.get(1).copied().unwrap_or(default))
        }
        (Kind::Bytes, default) => arg.value_name("BYTES").help(format!("{} [default: {default}]", spec.help)),
        (Kind::List, _) => arg.value_name("TEXT").action(ArgAction::Append),
        (Kind::Text, _) => arg.value_name("TEXT"),
    }
}

impl Args {
    /// Reads the command line; usage faults, `--help` and `--version` come back as the error that clap prints.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = command();
        let matches = command.try_get_matches_from_mut(words)?;
        let options = options(&matches).map_err(|error| command.error(clap::error::ErrorKind::InvalidValue, error))?;
        let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
        let paths = |name: &str| matches.get_many::<PathBuf>(name).into_iter().flatten().cloned().collect::<Vec<_>>();
        let captures = paths("captures");
        let format = match matches.get_one::<String>("format").map(String::as_str) {
            Some("ndjson") => Format::Ndjson,
            Some("parquet") => Format::Parquet,
            _ => Format::Har,
        };
        let target = match path("output") {
            Some(path) if path.as_os_str() == "-" => Target::Stdout,
            Some(path) => Target::File(path),
            None => default_target(&captures, format),
        };
        let mut key_logs = paths("keylog");
        if key_logs.is_empty() {
            key_logs.extend(std::env::var_os("SSLKEYLOGFILE").filter(|path| !path.is_empty()).map(PathBuf::from));
        }
        Ok(Self {
            captures,
            target,
            format,
            secrets: UserSecrets {
                key_logs,
                rsa_keys: paths("rsa-key"),
                psks: matches.get_many::<String>("psk").into_iter().flatten().cloned().collect(),
            },
            options,
            temporary: path("temporary"),
            jobs: matches.get_one::<u16>("jobs").copied().unwrap_or(0).into(),
            log: path("log"),
            quiet: matches.get_flag("quiet"),
            verbose: matches.get_count("verbose"),
            resource_usage: matches.get_flag("resource-usage"),
        })
    }
}

/// Beside the first capture; standard output when that is standard input.
fn default_target(captures: &[PathBuf], format: Format) -> Target {
    match captures.first() {
        Some(path) if path.as_os_str() != "-" => {
            let mut name = path.clone().into_os_string();
            name.push(match format {
                Format::Har => ".har",
                Format::Ndjson => ".ndjson",
                Format::Parquet => ".parquet",
            });
            Target::File(name.into())
        }
        _ => Target::Stdout,
    }
}

fn options(matches: &ArgMatches) -> Result<Options, crate::engine::options::OptionError> {
    let mut options = Options::default();
    for spec in OPTIONS.iter().filter(|spec| !COVERED.contains(&spec.name)) {
        if matches.value_source(spec.name) != Some(clap::parser::ValueSource::CommandLine) {
            continue;
        }
        match spec.kind {
            Kind::Switch => options.set(spec.name, if spec.default == "true" { "false" } else { "true" })?,
            _ => {
                for value in matches.get_many::<String>(spec.name).into_iter().flatten() {
                    options.set(spec.name, value)?;
                }
            }
        }
    }
    let none = matches.get_one::<String>("no-bodies").map(String::as_str);
    let all = matches.get_flag("drop-bodies") || none == Some("all");
    options.keep.requests = !all && none != Some("requests");
    options.keep.responses = !all && none != Some("responses");
    options.har.unanswered = !matches.get_flag("drop-unfulfilled");
    options.share = matches.get_one::<Share>("shard").copied();
    Ok(options)
}

/// `I/N`, counted from 1.
fn share(text: &str) -> Result<Share, String> {
    let wrong = || format!("{text:?} is not I/N with I from 1 to N, such as 1/3");
    let (part, of) = text.split_once('/').ok_or_else(wrong)?;
    let (part, of): (u32, u32) = part.parse().ok().zip(of.parse().ok()).ok_or_else(wrong)?;
    match part.checked_sub(1) {
        Some(index) if index < of => Ok(Share { index, of }),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::parse(std::iter::once("harshark").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn names_and_defaults() {
        let args = parse("a.pcap").unwrap();
        assert_eq!(args.target, Target::File("a.pcap.har".into()));
        assert_eq!(parse("-").unwrap().target, Target::Stdout);
        assert_eq!(parse("a.pcap -o -").unwrap().target, Target::Stdout);
        assert_eq!(parse("a.pcap --format ndjson").unwrap().target, Target::File("a.pcap.ndjson".into()));
        assert_eq!(parse("a.pcap --format parquet").unwrap().target, Target::File("a.pcap.parquet".into()));
        assert!(parse("").is_err());
        assert!(parse("a.pcap --max-body-size lots").is_err());
    }

    #[test]
    fn the_short_names_of_the_original_are_kept() {
        let args = parse("a.pcap -d -k -r -l log.txt --no-pages --pad-missing --strict").unwrap();
        assert!(!args.options.keep.requests && !args.options.keep.responses && args.resource_usage);
        assert!(args.options.har.unanswered && !args.options.har.pages);
        assert!(args.options.tcp.pad_missing && args.options.http.strict && args.log.is_some());
        assert!(!parse("a.pcap --drop-unfulfilled").unwrap().options.har.unanswered);
        assert!(parse("a.pcap --drop-unfulfilled -k").unwrap().options.har.unanswered);
        let args = parse("a.pcap --no-bodies=requests").unwrap();
        assert!(!args.options.keep.requests && args.options.keep.responses);
    }

    #[test]
    fn parts_are_counted_from_one() {
        assert_eq!(parse("a.pcap --shard 3/3").unwrap().options.share, Some(Share { index: 2, of: 3 }));
        for wrong in ["0/3", "4/3", "1", "1/0", "a/b", "-1/2"] {
            assert!(parse(&format!("a.pcap --shard={wrong}")).is_err(), "{wrong}");
        }
        assert_eq!(parse("a.pcap -j 3").unwrap().jobs, 3);
        assert!(parse("a.pcap --jobs 0").is_err());
    }

    #[test]
    fn values_may_repeat() {
        let args =
            parse("a.pcap b.pcap --only-host a.test --only-host b.test --sanitize --keylog k1 --keylog k2").unwrap();
        assert_eq!(args.options.har.only_hosts, ["a.test", "b.test"]);
        assert_eq!(args.options.har.sanitise, crate::har::sanitise::Level::Basic);
        assert_eq!((args.captures.len(), args.secrets.key_logs.len()), (2, 2));
    }
}
