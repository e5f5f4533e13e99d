//! The table holds what the HAR holds: `docs/COLUMNS.md` says which member each column equals, and here it is held to that.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first fault")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};

const CAPTURES: [&str; 6] = ["small-clear", "small-h2", "small-h3", "raw-h1", "errors-clear", "sse-clear"];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn harshark(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harshark"));
    command.env_remove("SSLKEYLOGFILE").args(words).args(["-q", "-o", "-"]).stdin(Stdio::null());
    let out = command.output().unwrap();
    assert!(out.status.code() < Some(2), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    out
}

type Row = BTreeMap<String, Value>;

/// Rows of a table, read by the Parquet crate's own reader; binary values as lists of numbers.
fn rows(bytes: Vec<u8>) -> Vec<Row> {
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().into_columns().into_iter().map(|(name, field)| (name, value(&field))).collect())
        .collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => json!(flag),
        Field::Long(number) | Field::TimestampMicros(number) => json!(number),
        Field::Double(number) => json!(number),
        Field::Str(text) => json!(text),
        Field::Bytes(bytes) => json!(bytes.data()),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::Group(group) => {
            Value::Object(group.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect())
        }
        other => panic!("no column has this type: {other:?}"),
    }
}

/// A row of the table in the documentation.
#[derive(Debug)]
struct Documented {
    name: String,
    kind: String,
    may_be_null: bool,
    har: String,
}

fn documented() -> Vec<Documented> {
    let text = fs::read_to_string(root("docs/COLUMNS.md")).unwrap();
    let lines =
        text.lines().skip_while(|line| !line.starts_with("|---")).skip(1).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, kind, _, null, har] = cells[..] else { panic!("{line}") };
            Documented { name: name.into(), kind: kind.into(), may_be_null: !null.is_empty(), har: har.into() }
        })
        .collect()
}

#[test]
fn names_and_types_are_as_documented() {
    let bytes = harshark(&[root("tests/data/raw-h1.pcapng").to_str().unwrap(), "--format", "parquet"]).stdout;
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr().root_schema_ptr();
    let shown = |field: &parquet::schema::types::Type| {
        let mut out = Vec::new();
        parquet::schema::printer::print_schema(&mut out, field);
        String::from_utf8(out).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let found: Vec<String> = schema.get_fields().iter().map(|field| shown(field)).collect();
    let wanted: Vec<String> = documented()
        .iter()
        .map(|Documented { name, kind, may_be_null, .. }| {
            let presence = if *may_be_null { "OPTIONAL" } else { "REQUIRED" };
            let list =
                |element: &str| format!("REQUIRED group {name} (LIST) {{ REPEATED group list {{ {element} }} }}");
            match kind.as_str() {
                "string" => format!("{presence} BYTE_ARRAY {name} (STRING);"),
                "int64" => format!("{presence} INT64 {name};"),
                "double" => format!("{presence} DOUBLE {name};"),
                "boolean" => format!("{presence} BOOLEAN {name};"),
                "timestamp" => format!("{presence} INT64 {name} (TIMESTAMP(MICROS,true));"),
                "binary" => format!("{presence} BYTE_ARRAY {name};"),
                "list<string>" => list("REQUIRED BYTE_ARRAY element (STRING);"),
                "list<struct<name, value>>" => list(
                    "REQUIRED group element { REQUIRED BYTE_ARRAY name (STRING); REQUIRED BYTE_ARRAY value (STRING); }",
                ),
                other => panic!("{name}: {other}"),
            }
        })
        .collect();
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found.len(), wanted.len());
}

/// The member of an entry at `a.b`, `a.b[0]`, `a[].b` or `a{Name}`, which is the first field of that name.
fn member(entry: &Value, path: &str) -> Value {
    if let Some((list, member_of_each)) = path.split_once("[].") {
        let list = entry[list].as_array().cloned().unwrap_or_default();
        return list.iter().map(|item| item[member_of_each].clone()).collect();
    }
    path.split('.').fold(entry.clone(), |value, part| {
        if let Some((list, name)) = part.trim_end_matches('}').split_once('{') {
            let fields = value[list].as_array().unwrap().clone();
            let found = fields.iter().find(|field| field["name"].as_str().unwrap().eq_ignore_ascii_case(name));
            return found.map_or(Value::Null, |field| field["value"].clone());
        }
        match part.trim_end_matches(']').split_once('[') {
            Some((list, index)) => value[list][index.parse::<usize>().unwrap()].clone(),
            None => value[part].clone(),
        }
    })
}

/// What a column must hold, by the entry.
fn expected(column: &Documented, entry: &Value) -> Value {
    let url = url::Url::parse(entry["request"]["url"].as_str().unwrap()).unwrap();
    let count = |name: &str| entry[name].as_array().map_or(0, Vec::len);
    match column.name.as_str() {
        "scheme" => return json!(url.scheme()),
        "host" => return json!(url.host_str().unwrap().trim_matches(['[', ']'])),
        "port" => return json!(url.port_or_known_default()),
        "path" => {
            let shown = entry["request"]["url"].as_str().unwrap();
            let after = shown.splitn(4, '/').nth(3).unwrap();
            return json!(format!("/{}", after.split('?').next().unwrap()));
        }
        "messages" => return json!(column.har.split(", ").map(count).sum::<usize>()),
        "stream_id" => {
            let found = column.har.split(", ").map(|path| member(entry, path)).find(|found| !found.is_null());
            return found.unwrap_or_default();
        }
        "request_body" | "response_body" => {
            let holder = member(entry, column.har.strip_suffix(".text").unwrap());
            let Some(text) = holder["text"].as_str() else { return Value::Null };
            let bytes = match holder["encoding"].as_str() {
                Some("base64") => base64_simd::STANDARD.decode_to_vec(text).unwrap(),
                _ => text.as_bytes().to_vec(),
            };
            // postData always has a text.
            let is_stand_in = bytes.is_empty() && holder["comment"] == "bodies were not asked for";
            return if is_stand_in { Value::Null } else { json!(bytes) };
        }
        _ => {}
    }
    let found = member(entry, &column.har);
    let has_response = entry["response"]["status"] != 0;
    match column.kind.as_str() {
        "timestamp" => {
            let time = chrono::DateTime::parse_from_rfc3339(found.as_str().unwrap()).unwrap();
            json!(time.timestamp_micros())
        }
        "string" if ["", "unknown", "x-unknown"].contains(&found.as_str().unwrap_or_default()) => Value::Null,
        "double" | "int64" if found == -1 => Value::Null,
        "int64" if column.har.starts_with("response.") && !has_response => Value::Null,
        "double" => found.as_f64().map_or(Value::Null, |number| json!(number)),
        "int64" if found.is_string() => json!(found.as_str().unwrap().parse::<i64>().unwrap()),
        kind if kind.starts_with("list") && found.is_null() => json!([]),
        _ => found,
    }
}

/// Compares tables and lines; says which columns had a value.
fn compare(options: &[&str]) -> BTreeSet<String> {
    let columns = documented();
    let mut seen = BTreeSet::new();
    for name in CAPTURES {
        let capture = root(&format!("tests/data/{name}.pcapng"));
        let words = |format: &'static str| [&[capture.to_str().unwrap(), "--format", format], options].concat();
        let lines = String::from_utf8(harshark(&words("ndjson")).stdout).unwrap();
        let table = rows(harshark(&words("parquet")).stdout);
        assert_eq!(lines.lines().count(), table.len(), "{name}");
        for (at, (line, row)) in lines.lines().zip(&table).enumerate() {
            let entry: Value = serde_json::from_str(line).unwrap();
            for column in &columns {
                let found = &row[&column.name];
                if column.har == "not in HAR" {
                    assert_eq!(
                        found.is_null(),
                        entry["_packet"].is_null(),
                        "{name} {options:?}, entry {at}: {}",
                        column.name
                    );
                } else {
                    let wanted = expected(column, &entry);
                    assert_eq!(found, &wanted, "{name} {options:?}, entry {at}: {}", column.name);
                }
                if !found.is_null() && found != &json!([]) {
                    seen.insert(column.name.clone());
                }
            }
        }
    }
    seen
}

#[test]
fn every_column_equals_its_member() {
    let seen = compare(&[]);
    let unseen: Vec<String> =
        documented().into_iter().map(|column| column.name).filter(|name| !seen.contains(name)).collect();
    // No capture at hand has these; they are tried with exchanges made by hand.
    assert_eq!(unseen, ["comment"]);
}

#[test]
fn options_rule_the_table_as_they_rule_the_har() {
    let hidden = compare(&["--sanitize=strict", "--hide-addresses"]);
    assert!(!hidden.contains("client_address") && !hidden.contains("filter"), "addresses are hidden");
    compare(&["--sanitize"]);
    let without = compare(&["--no-bodies", "--mitmproxy-safe"]);
    assert!(!without.contains("request_body") && without.contains("response_body_comment"));
    compare(&["--drop-unfulfilled", "--no-pages", "--only-host", "app.*"]);
}

#[test]
fn a_capture_without_entries_is_a_table_without_rows() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("empty.pcap");
    let mut head = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
    head.extend_from_slice(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
    fs::write(&capture, head).unwrap();
    let bytes = harshark(&[capture.to_str().unwrap(), "--format", "parquet"]).stdout;
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let facts = reader.metadata().file_metadata();
    assert_eq!((facts.num_rows(), facts.schema_descr().root_schema().get_fields().len()), (0, documented().len()));
}

#[test]
fn a_file_gets_its_name_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("raw.pcapng");
    fs::copy(root("tests/data/raw-h1.pcapng"), &capture).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harshark"));
    let out = command.arg(&capture).args(["--format", "parquet"]).output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    let table = fs::read(folder.path().join("raw.pcapng.parquet")).unwrap();
    assert_eq!(rows(table.clone()).len(), 23);
    assert!(
        said.contains("raw.pcapng.parquet") && said.contains(&format!("{:.1} KiB", table.len() as f64 / 1024.0)),
        "{said}"
    );
}

#[test]
fn rows_are_as_they_were() {
    let bytes = harshark(&[root("tests/data/errors-clear.pcapng").to_str().unwrap(), "--format", "parquet"]).stdout;
    let mut found = String::new();
    for mut row in rows(bytes) {
        row.retain(|_, value| !value.is_null());
        for name in ["request_body", "response_body"] {
            if let Some(body) = row.get_mut(name) {
                *body = json!(format!("{} bytes", body.as_array().unwrap().len()));
            }
        }
        found.push_str(&serde_json::to_string(&row).unwrap());
        found.push('\n');
    }
    let path = root("tests/golden/errors-clear.rows");
    if std::env::var_os("HARSHARK_BLESS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), found);
}

/// Readers of lines give each member one type for all lines.
#[test]
fn members_of_lines_keep_their_types() {
    let mut types: BTreeMap<String, &'static str> = BTreeMap::new();
    for name in CAPTURES {
        let capture = root(&format!("tests/data/{name}.pcapng"));
        let lines = harshark(&[capture.to_str().unwrap(), "--format", "ndjson"]).stdout;
        for line in String::from_utf8(lines).unwrap().lines() {
            note(&serde_json::from_str(line).unwrap(), "", &mut types);
        }
    }
    assert!(types.len() > 100 && types["response.status"] == "number");
}

fn note(value: &Value, path: &str, types: &mut BTreeMap<String, &'static str>) {
    let kind = match value {
        Value::Null => panic!("{path} is null"),
        Value::Bool(_) => "flag",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(list) => {
            list.iter().for_each(|item| note(item, &format!("{path}[]"), types));
            "list"
        }
        Value::Object(members) => {
            let dot = if path.is_empty() { "" } else { "." };
            members.iter().for_each(|(name, member)| note(member, &format!("{path}{dot}{name}"), types));
            "object"
        }
    };
    let known = types.entry(path.to_owned()).or_insert(kind);
    assert_eq!(*known, kind, "{path}");
}
