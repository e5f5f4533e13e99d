//! The rules that every HAR obeys, for tests of any floor and for fuzzers.

#![allow(clippy::panic, clippy::expect_used, reason = "it is there to stop a test at the first fault")]

use chrono::DateTime;
use serde_json::Value;
use std::collections::HashSet;
use std::net::IpAddr;

/// Panics, naming the place, when a HAR breaks a rule that some reader depends on.
pub fn check(har: &Value) {
    assert_eq!(keys(har), ["log"], "nothing stands beside log");
    let log = &har["log"];
    only(log, &["version", "creator", "browser", "pages", "entries", "comment"], "log");
    assert_eq!(log["version"], "1.2");
    for whose in ["creator", "browser"].into_iter().filter(|key| log.get(*key).is_some()) {
        assert!(log[whose]["name"].is_string() && log[whose]["version"].is_string(), "{whose}");
    }
    assert!(log["creator"].is_object());
    no_null(har, "");
    let mut pages = HashSet::new();
    for page in log["pages"].as_array().expect("pages") {
        assert_eq!(page["pageTimings"], serde_json::json!({"onContentLoad": -1, "onLoad": -1}));
        assert!(pages.insert(text(&page["id"])), "page ids are unique");
        assert!(page["title"].is_string());
        time(&page["startedDateTime"]);
    }
    assert!(!pages.is_empty(), "there is a page");
    let mut last = String::new();
    for (at, one) in log["entries"].as_array().expect("entries").iter().enumerate() {
        let place = format!("entry {at} {}", one["request"]["url"]);
        assert!(pages.contains(text(&one["pageref"])), "{place}: no page");
        let start = time(&one["startedDateTime"]);
        assert!(last <= start, "{place}: not in order");
        last = start;
        entry(one, &place);
    }
}

fn entry(entry: &Value, place: &str) {
    let standard = [
        "pageref",
        "startedDateTime",
        "time",
        "request",
        "response",
        "cache",
        "timings",
        "serverIPAddress",
        "connection",
        "comment",
    ];
    only(entry, &standard, place);
    assert_eq!(entry["cache"], serde_json::json!({}), "{place}");
    timings(entry, place);
    text(&entry["serverIPAddress"]).parse::<IpAddr>().expect(place);
    text(&entry["connection"]).parse::<u16>().expect(place);
    for message in entry["_webSocketMessages"].as_array().into_iter().flatten() {
        assert!(matches!(text(&message["type"]), "send" | "receive"), "{place}");
        assert!(message["opcode"].is_u64() && message["data"].is_string() && message["time"].is_number(), "{place}");
    }
    let (request, response) = (&entry["request"], &entry["response"]);
    let standard = [
        "method",
        "url",
        "httpVersion",
        "cookies",
        "headers",
        "queryString",
        "postData",
        "headersSize",
        "bodySize",
        "comment",
    ];
    only(request, &standard, place);
    let url = url::Url::parse(text(&request["url"])).expect(place);
    let written = text(&request["url"]);
    // Dots count as such in percent signs, too (https://url.spec.whatwg.org/#single-dot-path-segment).
    let has_dots = written.contains("/.") || written.to_ascii_lowercase().contains("/%2e");
    assert!(url.as_str() == written || has_dots, "{place}: not normalised, and no dot segments");
    assert!(url.fragment().is_none() && url.has_host() && url.as_str().is_ascii(), "{place}");
    let standard = [
        "status",
        "statusText",
        "httpVersion",
        "cookies",
        "headers",
        "content",
        "redirectURL",
        "headersSize",
        "bodySize",
        "comment",
    ];
    only(response, &standard, place);
    assert!(
        response["status"].is_u64() && response["statusText"].is_string() && response["redirectURL"].is_string(),
        "{place}"
    );
    assert_eq!(request["httpVersion"], response["httpVersion"], "{place}");
    let known = ["HTTP/0.9", "HTTP/1.0", "HTTP/1.1", "http/2.0", "h3", "unknown"];
    assert!(known.contains(&text(&request["httpVersion"])), "{place}");
    for message in [request, response] {
        assert!(message["cookies"].is_array(), "{place}");
        for key in ["headersSize", "bodySize"] {
            assert!(message[key].as_i64().is_some_and(|size| size >= -1), "{place}: {key}");
        }
        fields(&message["headers"], true, place);
    }
    fields(&request["queryString"], false, place);
    if let Some(post) = request.get("postData") {
        only(post, &["mimeType", "params", "text", "comment", "encoding"], place);
        assert!(post["mimeType"].is_string() && post["text"].is_string() && post["params"].is_array(), "{place}");
    }
    let content = &response["content"];
    only(content, &["size", "compression", "mimeType", "text", "encoding", "comment"], place);
    assert!(content["size"].is_u64() && content["mimeType"].is_string(), "{place}");
    if let Some(encoding) = content.get("encoding") {
        assert_eq!(encoding, "base64", "{place}");
        base64_simd::STANDARD.decode_to_vec(text(&content["text"])).expect(place);
    }
}

fn timings(entry: &Value, place: &str) {
    let timings = &entry["timings"];
    only(timings, &["blocked", "dns", "connect", "send", "wait", "receive", "ssl", "comment"], place);
    let micros = |value: &Value| (value.as_f64().expect(place) * 1000.0).round() as i64;
    let mut sum = 0;
    for key in ["blocked", "dns", "connect", "ssl", "send", "wait", "receive"] {
        let phase = micros(&timings[key]);
        let may_be_absent = !matches!(key, "send" | "wait" | "receive");
        assert!(phase >= 0 || (may_be_absent && phase == -1000), "{place}: {key} {phase}");
        if key != "ssl" && phase >= 0 {
            sum += phase;
        }
    }
    assert_eq!(sum, micros(&entry["time"]), "{place}: the phases are the time");
    assert!(micros(&timings["ssl"]) <= micros(&timings["connect"]), "{place}: ssl is inside connect");
}

fn fields(list: &Value, is_header: bool, place: &str) {
    for field in list.as_array().expect(place) {
        let (name, value) = (text(&field["name"]), text(&field["value"]));
        if is_header {
            assert!(!name.is_empty() && !name.starts_with(':') && !name.contains(' '), "{place}: field name {name:?}");
            assert!(!value.contains(['\r', '\n', '\0']), "{place}: {name}: {value:?}");
        }
    }
}

fn time(value: &Value) -> String {
    let written = text(value);
    assert!(written.len() == 27 && written.ends_with('Z'), "{written}");
    DateTime::parse_from_rfc3339(written).expect(written);
    written.to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a string is wanted, not {value}"))
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("object").keys().map(String::as_str).collect()
}

fn only(value: &Value, standard: &[&str], place: &str) {
    for key in keys(value) {
        assert!(key.starts_with('_') || standard.contains(&key), "{place}: {key} is no HAR name");
    }
}

fn no_null(value: &Value, key: &str) {
    match value {
        Value::Null => assert_eq!(key, "expires", "null at {key}"),
        Value::Array(items) => items.iter().for_each(|item| no_null(item, key)),
        Value::Object(members) => members.iter().for_each(|(key, member)| no_null(member, key)),
        _ => {}
    }
}
