//! What a run tells at its end: what was found, what could not be read, and what to do about it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::base::anomaly::AnomalyKind;
use crate::capture::link_type_name;
use crate::har::Summary;
use crate::run::{Format, Job, Report, Target};

/// Kinds of one thing shown before the rest is summed up.
const SHOWN: usize = 8;

/// The report on standard error.
#[allow(clippy::print_stderr, reason = "standard output may be the HAR")]
pub(super) fn print(report: &Report, job: &Job, verbose: u8) {
    eprint!("{}", text(report, job, verbose));
}

/// The report, for `--log`.
pub(super) fn log(report: &Report, job: &Job) {
    for path in &job.captures {
        log::info!("read {}", path.display());
    }
    for line in text(report, job, 1).lines() {
        log::info!("{line}");
    }
}

/// Faults of the captures alone, for those who want to hear of nothing else.
#[allow(clippy::print_stderr, reason = "standard output may be the HAR")]
pub(super) fn print_damage(report: &Report) {
    let mut out = String::new();
    damage(&mut out, report);
    eprint!("{out}");
}

/// What the run cost.
#[allow(clippy::print_stderr, reason = "standard output may be the HAR")]
pub(super) fn print_usage(report: &Report, took: Duration) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map_or("unknown", str::trim);
    let seconds = took.as_secs_f64();
    let packets = report.capture.frames as f64 / seconds.max(1e-9);
    eprintln!("resources: {seconds:.3} s, {packets:.0} packets/s, peak memory {peak}");
}

fn text(report: &Report, job: &Job, verbose: u8) -> String {
    let mut out = String::new();
    let summary = &report.summary;
    let line = |out: &mut String, text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{text}");
    };
    if job.target != Target::Stdout {
        let what = if matches!(job.format, Format::Har) { "HAR" } else { "entries" };
        line(&mut out, format_args!("{what} written to {} ({})", job.target.name(), bytes(summary.bytes)));
    }
    let packets = report.capture.frames;
    line(&mut out, format_args!("  packets      {packets}{}", if report.is_stopped { " (stopped early)" } else { "" }));
    line(&mut out, format_args!("  entries      {}{}", summary.entries, in_brackets(&versions(summary))));
    if matches!(job.format, Format::Har) {
        line(&mut out, format_args!("  pages        {}", summary.pages));
    }
    let without: u64 = summary.without_entry.values().sum();
    line(&mut out, format_args!("  connections  {} ({without} without an entry)", summary.connections));
    if let Some(losses) = summary.losses(&report.capture.dropped) {
        line(&mut out, format_args!("  lost         {losses}"));
    }
    if verbose > 0 {
        for (agent, count) in summary.agents.iter().take(SHOWN) {
            line(&mut out, format_args!("  user agent   {agent} ({count})"));
        }
    }
    if summary.filtered > 0 {
        line(&mut out, format_args!("  left out     {} by options", summary.filtered));
    }
    if summary.refused > 0 {
        line(&mut out, format_args!("  refused      {} that would have spoiled the file", summary.refused));
    }
    if let Some(text) = report.capture.disorder.text() {
        line(&mut out, format_args!("  order        {text}"));
    }
    keys(&mut out, report, job);
    reasons(&mut out, summary);
    faults(&mut out, report, verbose);
    damage(&mut out, report);
    advice(&mut out, report, job);
    out
}

fn versions(summary: &Summary) -> String {
    let mut parts: Vec<String> =
        summary.versions.iter().map(|(version, count)| format!("{version}: {count}")).collect();
    if summary.unanswered > 0 {
        parts.push(format!("unanswered: {}", summary.unanswered));
    }
    if summary.truncated > 0 {
        parts.push(format!("bodies with missing bytes: {}", summary.truncated));
    }
    parts.join(", ")
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

/// What the key logs held.
fn keys(out: &mut String, report: &Report, job: &Job) {
    let keys = &report.keys;
    if job.secrets.key_logs.is_empty() {
        return;
    }
    let _ = write!(out, "  key log      {} secrets", keys.used);
    if keys.broken > 0 {
        let _ = write!(out, ", {} broken lines", keys.broken);
    }
    if keys.unknown > 0 {
        let _ = write!(out, ", {} lines of no use", keys.unknown);
    }
    out.push('\n');
}

/// The most frequent first.
fn ranked(counts: &BTreeMap<String, u64>) -> Vec<(&String, &u64)> {
    let mut all: Vec<(&String, &u64)> = counts.iter().collect();
    all.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    all
}

/// Why connections gave no entry, the most frequent reasons first.
fn reasons(out: &mut String, summary: &Summary) {
    let reasons = ranked(&summary.without_entry);
    for (reason, count) in reasons.iter().take(SHOWN) {
        let _ = writeln!(out, "    {count:>6} × {reason}");
    }
    if reasons.len() > SHOWN {
        let _ =
            writeln!(out, "           and {} other reasons: see log._connections in the HAR", reasons.len() - SHOWN);
    }
    let names = ranked(&summary.undecrypted);
    if !names.is_empty() {
        let shown: Vec<&str> = names.iter().take(SHOWN).map(|(name, _)| name.as_str()).collect();
        let more = if names.len() > SHOWN { ", …" } else { "" };
        let _ = writeln!(out, "  encrypted    {}{more}", shown.join(", "));
    }
}

/// Faults of the traffic.
fn faults(out: &mut String, report: &Report, verbose: u8) {
    let mut all = report.summary.anomalies.clone();
    all.merge(&report.seen.anomalies, SHOWN);
    // Of packets whose times run backwards the line about their order has told.
    let is_told = |kind| kind == AnomalyKind::TimeBackwards && report.capture.disorder.frames > 0;
    for seen in all.sorted().into_iter().filter(|seen| !is_told(seen.kind)) {
        let frames: Vec<String> = seen.first.iter().map(|stamp| stamp.frame.0.to_string()).collect();
        let place = match frames.as_slice() {
            [] => String::new(),
            frames if verbose > 0 => format!(", frames {}", frames.join(" ")),
            [first, ..] => format!(", first in frame {first}"),
        };
        let amount = if seen.bytes > 0 { format!(" ({})", bytes(seen.bytes)) } else { String::new() };
        let _ = writeln!(out, "  {:>10} × {}{amount}{place}", seen.count, seen.kind.text());
    }
    for (link, frames) in &report.seen.unsupported {
        let name = link_type_name(*link);
        let _ = writeln!(out, "  {frames:>10} × frame of link type {name} ({}), which is not read", link.0);
    }
    for (count, what) in [
        (report.seen.encrypted_frames, "frame encrypted on the link (Wi-Fi, MACsec)"),
        (report.seen.repeated, "packet captured twice and counted once"),
        (report.capture.cut_frames, "frame cut by the snapshot length"),
    ] {
        if count > 0 {
            let _ = writeln!(out, "  {count:>10} × {what}");
        }
    }
}

fn damage(out: &mut String, report: &Report) {
    for damage in &report.capture.damage {
        let _ = writeln!(out, "damaged: {damage}; what could be read is used");
    }
    let shown = report.capture.damage.len() as u64;
    if report.capture.damages > shown {
        let _ = writeln!(out, "damaged: in {} more places", report.capture.damages - shown);
    }
    if let Some(failure) = &report.failure {
        let _ = writeln!(out, "damaged: {failure}; what was read before is used");
    }
}

/// The next step for somebody who misses entries.
fn advice(out: &mut String, report: &Report, job: &Job) {
    let summary = &report.summary;
    if summary.entries == 0 {
        let why = match report.capture.frames {
            0 => "the capture holds no packets",
            _ if summary.filtered > 0 => "all exchanges were left out by options",
            _ if !summary.undecrypted.is_empty() => "all web traffic in it is encrypted",
            _ if summary.connections == 0 => "the capture holds no TCP connection",
            _ => match ranked(&summary.without_entry).as_slice() {
                [(reason, _)] => reason,
                // Each of them stands above.
                _ => "no request of HTTP could be read in it",
            },
        };
        let _ = writeln!(out, "the HAR is empty: {why}");
    }
    if !summary.undecrypted.is_empty() {
        let next = match job.secrets.key_logs.is_empty() {
            true => {
                "to read encrypted traffic, start the browser or curl with SSLKEYLOGFILE=keys.log set, capture from before \
                     it connects, and add --keylog keys.log (or put the secrets into the capture: editcap --inject-secrets \
                     tls,keys.log in.pcapng out.pcapng)"
            }
            false => {
                "the key log does not hold the secrets of those connections: it must be written while they are made, and \
                      the capture must hold their handshakes"
            }
        };
        let _ = writeln!(out, "{next}");
    }
}

fn bytes(count: u64) -> String {
    let (mut value, mut unit) = (count as f64, "bytes");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "bytes" { format!("{count} bytes") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(bytes(900), "900 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }
}
