//! The members of an entry that depend on the whole capture: they are written last, and stand first.

use chrono::{DateTime, Datelike, SecondsFormat, Timelike};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::IpAddr;

use super::community::community_id;
use super::json::{Object, Plain, array, put_digits};
use super::lookup::Waited;
use super::page::{Visit, page_id};
use super::sanitise::Sanitiser;
use super::timings::{Moments, Phases};
use crate::net::Endpoint;

/// What an entry waits with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Late {
    /// When things happened.
    pub moments: Moments,
    /// Nanoseconds since 1970 and wire bytes of response content.
    pub arrivals: Vec<(i64, u64)>,
    /// The connection's first frame.
    pub connection: u64,
    /// Ordinal of the request on the connection.
    pub number: u32,
    /// The host as the client looked it up, when it waited for a handshake and so perhaps for a lookup.
    pub host: Option<String>,
    /// Client address and port.
    pub client: (IpAddr, u16),
    /// Server address and port.
    pub server: (IpAddr, u16),
    /// First and last frame of the request.
    pub request_frames: (u64, u64),
    /// First and last frame of the response.
    pub response_frames: Option<(u64, u64)>,
    /// What pages need.
    pub visit: Visit,
}

/// What the whole capture says about an entry.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    /// Its page.
    pub page: u32,
    /// Start of that page, microseconds since 1970.
    pub page_start: i64,
    /// Its phases.
    pub phases: Phases,
    /// The lookup its connection waited for.
    pub waited: Option<&'a Waited>,
    /// Wireshark's `tcp.stream` or `udp.stream`, when it is known.
    pub stream: Option<u64>,
}

impl Decided<'_> {
    /// `pageref`.
    pub fn page_id(&self) -> String {
        page_id(self.page)
    }
}

/// A time as HAR wants it: UTC, six digits.
pub fn date_time(micros: i64) -> String {
    let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    if !(0..10_000).contains(&time.year()) {
        return time.to_rfc3339_opts(SecondsFormat::Micros, true);
    }
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    put_digits(&mut text[0..4], time.year() as u64);
    put_digits(&mut text[5..7], time.month().into());
    put_digits(&mut text[8..10], time.day().into());
    put_digits(&mut text[11..13], time.hour().into());
    put_digits(&mut text[14..16], time.minute().into());
    put_digits(&mut text[17..19], time.second().into());
    put_digits(&mut text[20..26], time.timestamp_subsec_micros().into());
    String::from_utf8(text.to_vec()).unwrap_or_default()
}

impl Late {
    /// About how many bytes it takes in memory beside itself.
    pub fn allocated(&self) -> usize {
        let Visit { url, referer, agent, redirect, .. } = &self.visit;
        let texts = [Some(url), referer.as_ref(), Some(agent), redirect.as_ref(), self.host.as_ref()];
        let texts: usize = texts.into_iter().flatten().map(String::capacity).sum();
        texts + self.arrivals.capacity() * size_of::<(i64, u64)>()
    }

    /// Opens the entry and writes these members.
    pub fn write(&self, out: &mut Vec<u8>, decided: &Decided<'_>, sanitiser: &Sanitiser) {
        let phases = &decided.phases;
        let mut entry = Object::open(out);
        entry.string("pageref", &decided.page_id());
        entry.string("startedDateTime", &date_time(phases.start)).millis("time", phases.total);
        let mut timings = Object::open(entry.key("timings"));
        for (key, phase) in
            [("blocked", phases.blocked), ("dns", phases.dns), ("connect", phases.connect), ("ssl", phases.ssl)]
        {
            timings.millis(key, phase.unwrap_or(-1000));
        }
        timings.millis("send", phases.send).millis("wait", phases.wait).millis("receive", phases.receive);
        timings.close();
        if let Some(waited) = decided.waited {
            dns(&mut entry, waited, sanitiser);
        }
        if !sanitiser.hide_addresses {
            self.packet(&mut entry, decided.stream);
        }
        self.marks(&mut entry, decided);
    }

    /// `_packet`: where the entry is found in the capture.
    fn packet(&self, entry: &mut Object<'_>, stream: Option<u64>) {
        let mut packet = Object::open(entry.key("_packet"));
        if let Some(stream) = stream {
            packet.plain(if self.moments.is_quic { "udpStream" } else { "tcpStream" }, stream);
        }
        let frames = |object: &mut Object<'_>, key: &str, (first, last): (u64, u64)| {
            array(object.key(key), [first, last], |out, frame| frame.write(out));
        };
        frames(&mut packet, "requestFrames", self.request_frames);
        if let Some(response) = self.response_frames {
            frames(&mut packet, "responseFrames", response);
        }
        packet.string("filter", &self.filter(stream));
        packet.string("communityId", &self.community_id());
        packet.close();
    }

    /// Wireshark's display filter for the connection, by its number when it is known.
    pub fn filter(&self, stream: Option<u64>) -> String {
        let transport = if self.moments.is_quic { "udp" } else { "tcp" };
        if let Some(stream) = stream {
            return [transport, ".stream eq ", itoa::Buffer::new().format(stream)].concat();
        }
        let ip = if self.client.0.is_ipv4() { "ip" } else { "ipv6" };
        let (client, server) = (self.client, self.server);
        format!(
            "{ip}.addr eq {} and {ip}.addr eq {} and {transport}.port eq {} and {transport}.port eq {}",
            client.0, server.0, client.1, server.1
        )
    }

    /// The Community ID of the connection.
    pub fn community_id(&self) -> String {
        let end = |(address, port): (IpAddr, u16)| Endpoint { address, port };
        community_id(end(self.client), end(self.server), if self.moments.is_quic { 17 } else { 6 })
    }

    /// WebPageTest's marks in milliseconds since the start of the page, and the arrival of data. A drawing program that finds some
    /// takes all that apply.
    fn marks(&self, entry: &mut Object<'_>, decided: &Decided<'_>) {
        let (phases, moments) = (&decided.phases, &self.moments);
        let since = |moment: i64| moment.div_euclid(1000).saturating_sub(decided.page_start);
        let mut mark = |[start, end]: [&str; 2], (from, until): (i64, i64)| {
            entry.millis(start, since(from)).millis(end, since(until));
        };
        if let Some(waited) = decided.waited {
            mark(["_dns_start", "_dns_end"], waited.span);
        }
        if let Some((opened, connected)) = moments.connect {
            let transport_end = match moments.tls {
                Some((tls, _)) if !moments.is_quic => tls,
                _ => connected,
            };
            mark(["_connect_start", "_connect_end"], (opened, transport_end));
        }
        if let Some(tls) = moments.tls {
            mark(["_ssl_start", "_ssl_end"], tls);
        }
        mark(["_ttfb_start", "_ttfb_end"], (moments.begun, moments.answered));
        mark(["_download_start", "_download_end"], (moments.answered, moments.ended));
        mark(["_all_start", "_all_end"], (phases.start.saturating_mul(1000), moments.ended));
        if !self.arrivals.is_empty() {
            array(entry.key("_chunks"), &self.arrivals, |out, &(time, bytes)| {
                let mut chunk = Object::open(out);
                chunk.millis("ts", since(time)).plain("bytes", bytes);
                chunk.close();
            });
        }
    }
}

fn dns(entry: &mut Object<'_>, waited: &Waited, sanitiser: &Sanitiser) {
    let answers: Vec<String> = waited.addresses.iter().map(|&address| sanitiser.address(address).to_string()).collect();
    let server = sanitiser.address(waited.resolver.address).to_string();
    entry.value(
        "_dns",
        &json!({"query": waited.name, "answers": answers, "server": server, "frame": waited.answer.frame.0}),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_are_written_as_chrono_writes_them(micros in prop_oneof![any::<i64>(), -62_200_000_000_000_000i64..253_500_000_000_000_000]) {
            let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
            prop_assert_eq!(date_time(micros), time.to_rfc3339_opts(SecondsFormat::Micros, true));
        }
    }
}
