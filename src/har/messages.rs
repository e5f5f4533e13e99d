//! Messages inside bodies: WebSocket, server-sent events, gRPC.

use percent_encoding::percent_decode;

use super::content::Form;
use super::draft::Draft;
use super::form::essence;
use super::headers::field_text;
use super::json::{Object, epoch_seconds, string};
use super::sanitise::Sanitiser;
use crate::exchange::{Exchange, StreamMessage, StreamMessageKind};
use crate::http::{Completeness, Headers};
use crate::tcp::Side;

/// True when the fields say gRPC.
pub fn is_grpc(headers: &Headers) -> bool {
    headers.first("content-type").is_some_and(|value| {
        let value = field_text(value);
        let essence = essence(&value);
        essence.eq_ignore_ascii_case("application/grpc")
            || essence.to_ascii_lowercase().starts_with("application/grpc+")
    })
}

/// Writes the messages of an exchange, each kind in an array of its own.
pub fn messages(draft: &mut Draft, exchange: &Exchange, sanitiser: &Sanitiser) {
    list(draft, "_webSocketMessages", exchange, sanitiser, |kind| matches!(kind, StreamMessageKind::WebSocket { .. }));
    list(draft, "_eventSourceMessages", exchange, sanitiser, |kind| matches!(kind, StreamMessageKind::Event { .. }));
    list(draft, "_grpcMessages", exchange, sanitiser, |kind| matches!(kind, StreamMessageKind::Grpc { .. }));
    unread(draft, exchange);
    grpc(draft, exchange, sanitiser);
}

/// `_unreadMessageBytes`: what is in the capture of the messages, but could not be told apart.
fn unread(draft: &mut Draft, exchange: &Exchange) {
    let [sent, received] = exchange.unread;
    if sent > 0 || received > 0 {
        let mut object = Object::resume(&mut draft.text);
        let mut object = Object::open(object.key("_unreadMessageBytes"));
        object.plain("send", sent).plain("receive", received);
        object.close();
    }
}

fn list(
    draft: &mut Draft,
    key: &str,
    exchange: &Exchange,
    sanitiser: &Sanitiser,
    is_kind: fn(&StreamMessageKind) -> bool,
) {
    let mut is_first = true;
    for message in exchange.messages.iter().filter(|message| is_kind(&message.kind)) {
        if is_first {
            Object::resume(&mut draft.text).key(key).push(b'[');
        } else {
            draft.text.push(b',');
        }
        is_first = false;
        one(draft, message, sanitiser);
    }
    if !is_first {
        draft.text.push(b']');
    }
}

fn one(draft: &mut Draft, message: &StreamMessage, sanitiser: &Sanitiser) {
    let mut object = Object::open(&mut draft.text);
    let direction = if message.side == Side::Client { "send" } else { "receive" };
    match &message.kind {
        StreamMessageKind::WebSocket { opcode, data } => {
            object.string("type", direction).plain("opcode", *opcode).plain("_size", message.wire_size);
            tail(&mut object, message).key("data");
            if sanitiser.is_strict() {
                string(&mut draft.text, if *opcode == 1 { "[data redacted]" } else { "" });
            } else if *opcode == 1 {
                draft.string(&String::from_utf8_lossy(whole_characters(data, message.completeness)));
            } else {
                draft.inside(Form::Base64, data);
            }
        }
        StreamMessageKind::Event { name, id, data } => {
            object.string("eventName", name).string("eventId", id).plain("_size", message.wire_size);
            if sanitiser.is_on() {
                tail(&mut object, message);
            } else {
                tail(&mut object, message).key("data");
                draft.string(data);
            }
        }
        StreamMessageKind::Grpc { compressed, data } => {
            // The prefix says how large a message is of which bytes are missing.
            let size = match message.completeness {
                Completeness::Whole => data.len() as u64,
                Completeness::Cut | Completeness::Undecodable => message.wire_size.saturating_sub(5),
            };
            object.string("type", direction).plain("compressed", *compressed).plain("size", size);
            tail(&mut object, message).key("data");
            draft.inside(Form::Base64, if sanitiser.is_strict() { &[] } else { data });
        }
    }
    draft.text.push(b'}');
}

fn tail<'o, 'a>(object: &'o mut Object<'a>, message: &StreamMessage) -> &'o mut Object<'a> {
    epoch_seconds(object.key("time"), message.stamp.time);
    object.plain("_frame", message.stamp.frame.0);
    match message.completeness {
        Completeness::Whole => object,
        Completeness::Cut => object.plain("_truncated", true),
        Completeness::Undecodable => object.plain("_undecodable", true),
    }
}

/// Text without the character in which it was cut.
fn whole_characters(data: &[u8], completeness: Completeness) -> &[u8] {
    match std::str::from_utf8(data) {
        Err(error) if completeness == Completeness::Cut && error.error_len().is_none() => &data[..error.valid_up_to()],
        _ => data,
    }
}

/// `_grpc`: what was called, and how it went. The status stands in the trailers, or in the head when there is no message
/// ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)).
fn grpc(draft: &mut Draft, exchange: &Exchange, sanitiser: &Sanitiser) {
    let head = &exchange.request.head;
    if !is_grpc(&head.headers) {
        return;
    }
    let path = field_text(&head.target);
    let (service, method) = path.trim_start_matches('/').rsplit_once('/').unwrap_or(("", &path));
    let mut object = Object::resume(&mut draft.text);
    let mut object = Object::open(object.key("_grpc"));
    object.string("service", service).string("method", method.split('?').next().unwrap_or_default());
    if let Some(response) = &exchange.response {
        let field = |name: &str| response.trailers.first(name).or_else(|| response.head.headers.first(name));
        if let Some(status) = field("grpc-status").and_then(|value| field_text(value).trim().parse::<u32>().ok()) {
            object.plain("status", status);
        }
        let message = field("grpc-message").unwrap_or_default();
        object.string("message", &sanitiser.text(&percent_decode(message).decode_utf8_lossy()));
    }
    object.close();
}
