//! The columns: name, type, and where the value comes from. `docs/COLUMNS.md` says what they mean, and a test holds it to this list.

use std::borrow::Cow;

use arrow_buffer::Buffer;

use super::row::{Answer, Part, Row, Tls};
use crate::har::late::{Decided, Late};
use crate::har::sanitise::Sanitiser;

/// All that is known of one entry.
pub struct Cells<'c> {
    /// What was known when its exchange was over.
    pub row: &'c Row,
    /// What waited for the whole capture.
    pub late: &'c Late,
    /// What the whole capture decided.
    pub decided: &'c Decided<'c>,
    /// What is taken out.
    pub sanitiser: &'c Sanitiser,
}

/// Free text of a cell.
type Text<'c> = Option<Cow<'c, str>>;

/// The type of a column, with the function that gives its value.
pub enum Kind {
    /// `string`.
    Text(for<'c> fn(&'c Cells<'c>) -> Text<'c>),
    /// `int64`.
    Integer(fn(&Cells<'_>) -> Option<i64>),
    /// `double`: milliseconds, from microseconds.
    Millis(fn(&Cells<'_>) -> Option<i64>),
    /// `timestamp`: microseconds since 1970, UTC.
    Time(fn(&Cells<'_>) -> i64),
    /// `boolean`.
    Flag(fn(&Cells<'_>) -> Option<bool>),
    /// `list<string>`, never null.
    Texts(for<'c> fn(&'c Cells<'c>) -> Vec<Cow<'c, str>>),
    /// `list<struct<name: string, value: string>>`, never null.
    Fields(for<'c> fn(&'c Cells<'c>) -> &'c [(String, String)]),
    /// `binary`.
    Bytes(for<'c> fn(&'c Cells<'c>) -> Option<&'c Buffer>),
}

/// A column.
pub struct Column {
    /// Its name; part of what users rely on.
    pub name: &'static str,
    /// True when every entry has a value.
    pub is_always: bool,
    /// Type and value.
    pub kind: Kind,
}

const fn always(name: &'static str, kind: Kind) -> Column {
    Column { name, is_always: true, kind }
}

const fn maybe(name: &'static str, kind: Kind) -> Column {
    Column { name, is_always: false, kind }
}

/// All columns, in their order. New ones go where they belong: readers go by name.
pub const COLUMNS: &[Column] = &[
    always("started", Kind::Time(|c| c.decided.phases.start)),
    always("time", Kind::Millis(|c| Some(c.decided.phases.total))),
    maybe("blocked", Kind::Millis(|c| c.decided.phases.blocked)),
    maybe("dns", Kind::Millis(|c| c.decided.phases.dns)),
    maybe("connect", Kind::Millis(|c| c.decided.phases.connect)),
    maybe("ssl", Kind::Millis(|c| c.decided.phases.ssl)),
    always("send", Kind::Millis(|c| Some(c.decided.phases.send))),
    always("wait", Kind::Millis(|c| Some(c.decided.phases.wait))),
    always("receive", Kind::Millis(|c| Some(c.decided.phases.receive))),
    always("page", Kind::Text(|c| Some(c.decided.page_id().into()))),
    always("method", Kind::Text(|c| text(&c.row.method))),
    always("url", Kind::Text(|c| text(&c.row.url))),
    always("scheme", Kind::Text(|c| text(&c.row.scheme))),
    always("host", Kind::Text(|c| text(&c.row.host))),
    always("port", Kind::Integer(|c| Some(c.row.port.into()))),
    always("path", Kind::Text(|c| text(&c.row.path))),
    maybe("http_version", Kind::Text(|c| c.row.http_version.as_deref().map(Cow::Borrowed))),
    maybe("status", Kind::Integer(|c| answer(c, |answer| answer.status.into()))),
    maybe("status_text", Kind::Text(|c| optional(&c.row.response.as_ref()?.status_text))),
    maybe("mime", Kind::Text(|c| optional(&c.row.response.as_ref()?.mime))),
    maybe("redirect_url", Kind::Text(|c| optional(&c.row.response.as_ref()?.redirect))),
    always("resource_type", Kind::Text(|c| text(&c.row.resource_type))),
    maybe("user_agent", Kind::Text(|c| optional(&c.row.user_agent))),
    maybe("referer", Kind::Text(|c| optional(&c.row.referer))),
    always("request_headers", Kind::Fields(|c| &c.row.request.fields)),
    always("response_headers", Kind::Fields(|c| response(c).map_or(&[], |part| &part.fields))),
    always("request_headers_size", Kind::Integer(|c| integer(c.row.request.head_size))),
    always("request_body_size", Kind::Integer(|c| integer(c.row.request.body_size))),
    maybe("response_headers_size", Kind::Integer(|c| integer(response(c)?.head_size))),
    maybe("response_body_size", Kind::Integer(|c| integer(response(c)?.body_size))),
    maybe("content_size", Kind::Integer(|c| answer(c, |answer| answer.content_size))),
    maybe("transfer_size", Kind::Integer(|c| answer(c, |answer| answer.bytes))),
    always("request_size", Kind::Integer(|c| integer(c.row.request_bytes))),
    maybe("request_error", Kind::Text(|c| optional(&c.row.request.error))),
    maybe("error", Kind::Text(|c| optional(&c.row.response_error))),
    always("anomalies", Kind::Texts(|c| c.row.anomalies.iter().map(|code| code.as_ref().into()).collect())),
    always("messages", Kind::Integer(|c| integer(c.row.messages))),
    maybe("comment", Kind::Text(|c| optional(&c.row.comment))),
    always("server_address", Kind::Text(|c| Some(c.sanitiser.address(c.late.server.0).to_string().into()))),
    always("server_port", Kind::Integer(|c| Some(c.late.server.1.into()))),
    maybe("client_address", Kind::Text(|c| Some(packet(c)?.client.0.to_string().into()))),
    maybe("client_port", Kind::Integer(|c| Some(packet(c)?.client.1.into()))),
    always("connection_id", Kind::Integer(|c| integer(c.late.connection))),
    maybe("server_rtt", Kind::Millis(|c| i64::try_from(c.row.rtt? / 1000).ok())),
    maybe("stream_id", Kind::Integer(|c| integer(c.row.stream?))),
    maybe("dns_query", Kind::Text(|c| Some(c.decided.waited?.name.as_str().into()))),
    maybe("dns_server", Kind::Text(|c| Some(address(c, c.decided.waited?.resolver.address)))),
    always("dns_answers", Kind::Texts(answers)),
    always("decrypted", Kind::Text(|c| text(&c.row.decrypted))),
    maybe("tls_version", Kind::Text(|c| optional(&tls(c)?.version))),
    maybe("tls_cipher", Kind::Text(|c| optional(&tls(c)?.cipher))),
    maybe("tls_cipher_suite", Kind::Integer(|c| tls(c)?.cipher_suite.map(i64::from))),
    maybe("tls_group", Kind::Text(|c| optional(&tls(c)?.group))),
    maybe("tls_alpn", Kind::Text(|c| optional(&tls(c)?.alpn))),
    maybe("tls_sni", Kind::Text(|c| optional(&tls(c)?.sni))),
    maybe("tls_ja3", Kind::Text(|c| optional(&tls(c)?.ja3))),
    maybe("tls_ja4", Kind::Text(|c| optional(&tls(c)?.ja4))),
    maybe("tls_resumed", Kind::Flag(|c| Some(tls(c)?.resumed))),
    maybe(
        "tcp_stream",
        Kind::Integer(|c| integer(packet(c).filter(|late| !late.moments.is_quic).and(c.decided.stream)?)),
    ),
    maybe(
        "udp_stream",
        Kind::Integer(|c| integer(packet(c).filter(|late| late.moments.is_quic).and(c.decided.stream)?)),
    ),
    maybe("request_first_frame", Kind::Integer(|c| integer(packet(c)?.request_frames.0))),
    maybe("request_last_frame", Kind::Integer(|c| integer(packet(c)?.request_frames.1))),
    maybe("response_first_frame", Kind::Integer(|c| integer(packet(c)?.response_frames?.0))),
    maybe("response_last_frame", Kind::Integer(|c| integer(packet(c)?.response_frames?.1))),
    maybe("filter", Kind::Text(|c| Some(packet(c)?.filter(c.decided.stream).into()))),
    maybe("community_id", Kind::Text(|c| Some(packet(c)?.community_id().into()))),
    maybe("request_body", Kind::Bytes(|c| c.row.request.content.as_ref()?.here())),
    maybe("request_body_comment", Kind::Text(|c| optional(&c.row.request.comment))),
    maybe("response_body", Kind::Bytes(|c| response(c)?.content.as_ref()?.here())),
    maybe("response_body_comment", Kind::Text(|c| optional(&response(c)?.comment))),
];

fn text(text: &str) -> Text<'_> {
    Some(text.into())
}

fn optional(text: &Option<String>) -> Text<'_> {
    text.as_deref().map(Cow::Borrowed)
}

fn integer(number: u64) -> Option<i64> {
    i64::try_from(number).ok().or(Some(i64::MAX))
}

fn answer(cells: &Cells<'_>, number: fn(&Answer) -> u64) -> Option<i64> {
    integer(cells.row.response.as_ref().map(number)?)
}

fn response<'c>(cells: &'c Cells<'c>) -> Option<&'c Part> {
    cells.row.response.as_ref().map(|answer| &answer.part)
}

fn tls<'c>(cells: &'c Cells<'c>) -> Option<&'c Tls> {
    cells.row.tls.as_ref()
}

/// What `_packet` says, unless addresses are hidden.
fn packet<'c>(cells: &'c Cells<'c>) -> Option<&'c Late> {
    (!cells.sanitiser.hide_addresses).then_some(cells.late)
}

fn address<'c>(cells: &Cells<'_>, address: std::net::IpAddr) -> Cow<'c, str> {
    cells.sanitiser.address(address).to_string().into()
}

fn answers<'c>(cells: &'c Cells<'c>) -> Vec<Cow<'c, str>> {
    let waited = cells.decided.waited;
    waited.into_iter().flat_map(|waited| &waited.addresses).map(|&answer| address(cells, answer)).collect()
}
