//! The `har.*` fields, on one pass and on two.

use serde_json::Value;

use super::host::{Host, data, said, standalone, table};

const CAPTURE: &str = "small-clear.pcapng";
const FIELDS: [&str; 8] = [
    "frame.number",
    "har.url",
    "har.method",
    "har.status",
    "har.time",
    "har.wait",
    "har.request_in",
    "har.response_in",
];

fn rows(host: &Host, words: &[&str]) -> Vec<Vec<String>> {
    let fields = FIELDS.iter().flat_map(|field| ["-e", field]);
    let output = host.tshark(words.iter().copied().chain(["-Y", "har.entry", "-T", "fields"]).chain(fields));
    assert!(output.status.success(), "{}", said(&output));
    table(&output)
}

#[test]
fn fields_say_what_the_har_says() {
    let Some(host) = Host::installed() else { return };
    let capture = host.capture(CAPTURE);
    let har = standalone(&data(CAPTURE), &[]);
    let entries = har["log"]["entries"].as_array().unwrap();
    let one = rows(&host, &["-r", &capture]);
    let two = rows(&host, &["-2", "-r", &capture]);
    for entry in entries {
        let frames = |key: &str| {
            entry["_packet"][key].as_array().map(|list| list.iter().filter_map(Value::as_u64).collect::<Vec<_>>())
        };
        let request = frames("requestFrames").unwrap()[0].to_string();
        let response = frames("responseFrames").unwrap()[1].to_string();
        let is_it = |row: &&Vec<String>| row[1] == entry["request"]["url"].as_str().unwrap() && row[6] == request;
        for rows in [&one, &two] {
            let row = rows.iter().find(|row| row[0] == response && is_it(row));
            let row = row.unwrap_or_else(|| panic!("no row for {}", entry["request"]["url"]));
            assert_eq!(row[2], entry["request"]["method"].as_str().unwrap());
            assert_eq!(row[3], entry["response"]["status"].to_string());
            assert_eq!(row[4].parse::<f64>().unwrap(), entry["time"].as_f64().unwrap());
            assert_eq!(row[5].parse::<f64>().unwrap(), entry["timings"]["wait"].as_f64().unwrap());
        }
        // On the second pass the request knows its response.
        assert!(two.iter().any(|row| row[0] == request && row[7] == response), "frame {request}");
    }
    assert!(two.len() > one.len());
}

#[test]
fn fields_can_be_switched_off() {
    let Some(host) = Host::installed() else { return };
    let capture = host.capture(CAPTURE);
    assert_eq!(rows(&host, &["-o", "har.fields:FALSE", "-2", "-r", &capture]).len(), 0);
}

#[test]
fn filters_know_them() {
    let Some(host) = Host::installed() else { return };
    let capture = host.capture(CAPTURE);
    let count = |filter: &str| {
        let output = host.tshark(["-2", "-r", &capture, "-Y", filter]);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).lines().count()
    };
    assert!(count("har.status == 404") >= 1);
    assert!(count("har.url contains \"/api/\" && har.method == \"GET\"") >= 2);
    assert_eq!(count("har.time > 1000000"), 0);
}
