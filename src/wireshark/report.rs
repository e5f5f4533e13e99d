//! The result of an export, as text for a window.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::capture::link_type_name;
use crate::run::{Outcome, Target};

/// Lines of one list that are shown.
const MOST: usize = 20;

/// What was written, and what could not be read and why.
pub(super) fn text(outcome: &Outcome, target: &Target, fault: Option<&str>) -> String {
    let (summary, seen) = (&outcome.summary, &outcome.seen);
    let mut text = String::new();
    let mut line = |words: &str| {
        text.push_str(words);
        text.push('\n');
    };
    line(&target.name());
    line("");
    line(&format!(
        "{}, {}, {} bytes",
        many(summary.entries, "entry", "entries"),
        many(summary.pages, "page", "pages"),
        summary.bytes
    ));
    if let Some(fault) = fault {
        line(&format!("The capture could not be read to its end: {fault}"));
    }
    if let Some(losses) = summary.losses(&outcome.dropped) {
        line("");
        line(&format!("Incomplete: {losses}"));
    }
    list(&mut line, "By version", &summary.versions);
    let statuses = summary.statuses.iter().map(|(class, count)| match class {
        0 => ("no response".to_owned(), *count),
        class => (format!("{class}xx"), *count),
    });
    list(&mut line, "By status", &statuses.collect());
    for (count, words) in [
        (summary.filtered, "left out by filters or selection"),
        (summary.truncated, "with bytes of the body missing"),
        (summary.refused, "left out because they would have spoiled the file"),
        (seen.encrypted_frames, "frames of an encrypted wireless network could not be read"),
    ] {
        if count > 0 {
            line(&format!("{count} {words}"));
        }
    }
    if let Some(words) = outcome.disorder.text() {
        line(&words);
    }
    list(&mut line, "Connections without an entry", &summary.without_entry);
    list(&mut line, "Not decrypted", &summary.undecrypted);
    let unsupported = seen.unsupported.iter().map(|(link, count)| match link.0 {
        u32::MAX => ("other".to_owned(), *count),
        _ => (link_type_name(*link).to_owned(), *count),
    });
    list(&mut line, "Frames of link types that are not read", &unsupported.collect());
    let mut anomalies = BTreeMap::new();
    for seen in summary.anomalies.sorted().into_iter().chain(seen.anomalies.sorted()) {
        let text = seen.kind.text();
        let text = if seen.bytes > 0 { format!("{text} ({} bytes)", seen.bytes) } else { text.to_owned() };
        *anomalies.entry(text).or_insert(0) += seen.count;
    }
    list(&mut line, "Anomalies", &anomalies);
    text
}

fn list(line: &mut dyn FnMut(&str), title: &str, counts: &BTreeMap<String, u64>) {
    if counts.is_empty() {
        return;
    }
    line("");
    line(&format!("{title}:"));
    for (name, count) in counts.iter().take(MOST) {
        line(&format!("  {count:>8}  {name}"));
    }
    if counts.len() > MOST {
        let mut rest = String::new();
        let _ = write!(rest, "            and {} more", counts.len() - MOST);
        line(&rest);
    }
}

fn many(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
