use super::*;
use crate::base::Budget;
use std::path::{Path, PathBuf};

pub(in crate::http::h2) type Fields = Vec<(String, String)>;

fn decoder() -> Decoder {
    Decoder::new(1 << 16, &Budget::new(1 << 20))
}

fn fields(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, CodingError> {
    let mut fields = Vec::new();
    let text = |part: Option<&[u8]>| part.map_or("?".into(), |part| String::from_utf8_lossy(part).into_owned());
    decoder.decode(block, &Expected::default(), &mut |field| {
        fields.push((text(field.name), text(field.value)));
        ControlFlow::Continue(())
    })?;
    Ok(fields)
}

pub(in crate::http::h2) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.bytes().filter_map(|byte| (byte as char).to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn expect(lines: &str) -> Fields {
    lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| line.rsplit_once(" = ").map(|(name, value)| (name.into(), value.into())).unwrap())
        .collect()
}

/// RFC 7541 appendix C.3 and C.4: requests, plain and Huffman coded.
#[test]
fn requests_of_the_rfc() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let coded = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    let expected = [
        ":method = GET\n:scheme = http\n:path = /\n:authority = www.example.com",
        ":method = GET\n:scheme = http\n:path = /\n:authority = www.example.com\ncache-control = no-cache",
        ":method = GET\n:scheme = https\n:path = /index.html\n:authority = www.example.com\ncustom-key = custom-value",
    ];
    for blocks in [plain, coded] {
        let mut decoder = decoder();
        for (block, expected) in blocks.iter().zip(expected) {
            assert_eq!(fields(&mut decoder, &hex(block)).unwrap(), expect(expected));
        }
    }
}

/// RFC 7541 appendix C.6: responses, with eviction from a table of 256 octets.
#[test]
fn responses_of_the_rfc() {
    let blocks = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    let expected = [
        ":status = 302\ncache-control = private\ndate = Mon, 21 Oct 2013 20:13:21 GMT\nlocation = https://www.example.com",
        ":status = 307\ncache-control = private\ndate = Mon, 21 Oct 2013 20:13:21 GMT\nlocation = https://www.example.com",
        ":status = 200\ncache-control = private\ndate = Mon, 21 Oct 2013 20:13:22 GMT\nlocation = https://www.example.com\n\
         content-encoding = gzip\nset-cookie = foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ];
    let mut decoder = decoder();
    decoder.allow(256);
    for (block, expected) in blocks.iter().zip(expected) {
        assert_eq!(fields(&mut decoder, &hex(block)).unwrap(), expect(expected));
    }
    assert!(decoder.table.capacity() == 256 && matches!(decoder.table.newest(3), Found::Nothing));
}

#[test]
fn errors_are_told() {
    let error = |block: &str| fields(&mut decoder(), &hex(block)).unwrap_err();
    assert_eq!(error("80"), CodingError::Index);
    assert_eq!(error("be"), CodingError::Index);
    assert_eq!(error("3fe2 1f"), CodingError::Capacity);
    assert_eq!(error("8220"), CodingError::Capacity);
    assert_eq!(error("4101"), CodingError::Short);
    assert_eq!(error("ff"), CodingError::Short);
    assert_eq!(error("4181 18"), CodingError::Huffman);
    assert_eq!(error("ffff ffff ffff ffff ffff ff01"), CodingError::Integer);
}

#[test]
fn what_was_lost_is_unknown_and_what_came_since_is_not() {
    let mut decoder = decoder();
    decoder.lose();
    // Static, lost, a literal put in the table, then that entry and a lost one behind it.
    let block = hex("82be 4001 6101 62 be bf");
    let expected = ":method = GET\n? = ?\na = b\na = b\n? = ?";
    assert_eq!(fields(&mut decoder, &block).unwrap(), expect(expected));
    // A literal whose name is lost keeps its value, also as an entry.
    assert_eq!(fields(&mut decoder, &hex("7f00 01 63 be")).unwrap(), expect("? = c\n? = c"));
    // An emptied table holds nothing unknown.
    assert_eq!(fields(&mut decoder, &hex("20 3fe1 1f 4001 7801 79 be")).unwrap(), expect("x = y\nx = y"));
    assert_eq!(fields(&mut decoder, &hex("bf")).unwrap_err(), CodingError::Index);
}

#[test]
fn of_a_huge_table_the_newest_entries_are_kept() {
    let mut decoder = Decoder::new(100, &Budget::new(1 << 20));
    decoder.allow(1 << 20);
    let update = hex("3fe1 ff3e");
    assert_eq!(fields(&mut decoder, &update).unwrap(), []);
    assert!(decoder.table.capacity() > 1000);
    for nth in 0..10u8 {
        let inserted = fields(&mut decoder, &[0x40, 1, b'n', 1, b'0' + nth]).unwrap();
        assert_eq!(inserted.len(), 1);
    }
    assert_eq!(fields(&mut decoder, &hex("be bf c0 c7")).unwrap(), expect("n = 9\nn = 8\n? = ?\n? = ?"));
}

#[test]
fn a_sink_that_breaks_off_keeps_the_table_right() {
    let mut decoder = decoder();
    let mut seen = 0;
    decoder
        .decode(&hex("82 4001 6101 62 84"), &Expected::default(), &mut |_| {
            seen += 1;
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(seen, 1);
    assert_eq!(fields(&mut decoder, &hex("be")).unwrap(), expect("a = b"));
}

/// The stories of http2jp/hpack-test-case: those in `tests/vectors`, and all of them where they lie beside the repository.
#[test]
fn stories_of_other_encoders() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/hpack");
    let all = std::env::var_os("HARSHARK_HPACK_STORIES").map(PathBuf::from);
    let mut count = (0, 0);
    for folder in [Some(own), all].into_iter().flatten() {
        for story in stories(&folder) {
            count.0 += 1;
            count.1 += tell(&story);
        }
    }
    assert!(count.0 >= 7 && count.1 >= 100, "{count:?}");
    println!("{} stories, {} blocks", count.0, count.1);
}

pub(in crate::http::h2) fn stories(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(stories(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "json") {
            found.push(entry);
        }
    }
    found.sort();
    found
}

/// Decodes the blocks of one story; how many there were.
fn tell(path: &Path) -> usize {
    let story: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut decoder = decoder();
    let cases = story["cases"].as_array().unwrap();
    for case in cases {
        if let Some(size) = case["header_table_size"].as_u64() {
            decoder.allow(size as usize);
        }
        let expected = headers(case);
        let block = hex(case["wire"].as_str().unwrap());
        assert_eq!(fields(&mut decoder, &block).as_ref(), Ok(&expected), "{}: {}", path.display(), case["seqno"]);
    }
    cases.len()
}

/// What a case of a story says that its block holds.
pub(in crate::http::h2) fn headers(case: &serde_json::Value) -> Fields {
    case["headers"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|header| header.as_object().unwrap())
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}
