use super::*;
use std::path::{Path, PathBuf};

type Fields = Vec<(String, String)>;

fn text(part: Option<&[u8]>) -> String {
    part.map_or("?".into(), |part| String::from_utf8_lossy(part).into_owned())
}

fn fields(decoder: &mut Decoder, section: &[u8], last: bool) -> Result<Result<Fields, u64>, CodingError> {
    let mut fields = Vec::new();
    let readiness = decoder.section(section, last, &mut |field| {
        fields.push((text(field.name), text(field.value)));
        ControlFlow::Continue(())
    })?;
    Ok(match readiness {
        Readiness::Decoded => Ok(fields),
        Readiness::Blocked(required) => Err(required),
    })
}

fn decoder(max_capacity: u64) -> Decoder {
    let mut decoder = Decoder::new(1 << 17, &Budget::new(1 << 20));
    decoder.allow(max_capacity);
    decoder
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.bytes().filter_map(|byte| (byte as char).to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

/// RFC 9204 appendix B: one connection.
#[test]
fn the_conversation_of_the_rfc() {
    let mut decoder = decoder(220);
    let literal = hex("0000 510b 2f69 6e64 6578 2e68 746d 6c");
    assert_eq!(fields(&mut decoder, &literal, false).unwrap().unwrap(), pairs(&[(":path", "/index.html")]));
    // The section comes before the inserts it needs.
    let section = hex("0381 1011");
    assert_eq!(fields(&mut decoder, &section, false).unwrap(), Err(2));
    decoder
        .instructions(&hex("3fbd01 c00f 7777 772e 6578 616d 706c 652e 636f 6d c10c 2f73 616d 706c 652f 7061 7468"))
        .unwrap();
    let expected = pairs(&[(":authority", "www.example.com"), (":path", "/sample/path")]);
    assert_eq!(fields(&mut decoder, &section, false).unwrap().unwrap(), expected);
    decoder.instructions(&hex("4a63 7573 746f 6d2d 6b65 790c 6375 7374 6f6d 2d76 616c 7565")).unwrap();
    decoder.instructions(&hex("02")).unwrap();
    let expected = pairs(&[(":authority", "www.example.com"), (":path", "/"), ("custom-key", "custom-value")]);
    assert_eq!(fields(&mut decoder, &hex("0500 80c1 81"), false).unwrap().unwrap(), expected);
    decoder.instructions(&hex("810d 6375 7374 6f6d 2d76 616c 7565 32")).unwrap();
    assert_eq!(decoder.inserted(), 5);
    assert!(matches!(decoder.table.newest(3), Found::Entry(_)) && matches!(decoder.table.newest(4), Found::Nothing));
}

#[test]
fn lost_inserts_are_unknown() {
    let mut decoder = decoder(220);
    let section = hex("0381 1011 5101 2f");
    assert_eq!(
        fields(&mut decoder, &section, true).unwrap().unwrap(),
        pairs(&[("?", "?"), ("?", "?"), (":path", "/")])
    );
    decoder.lose();
    decoder.instructions(&hex("c00f 7777 77")).unwrap();
    assert_eq!(
        fields(&mut decoder, &section, false).unwrap().unwrap(),
        pairs(&[("?", "?"), ("?", "?"), (":path", "/")])
    );
}

#[test]
fn without_settings_a_section_waits() {
    let mut decoder = Decoder::new(1 << 17, &Budget::new(1 << 20));
    assert_eq!(fields(&mut decoder, &hex("0381 1011"), false).unwrap(), Err(UNTIL_SETTINGS));
    assert!(fields(&mut decoder, &hex("0000 d1"), false).unwrap().is_ok());
    decoder.allow(220);
    assert_eq!(fields(&mut decoder, &hex("0381 1011"), false).unwrap(), Err(2));
}

#[test]
fn instructions_without_end_are_bounded() {
    let budget = Budget::new(1 << 20);
    let mut decoder = Decoder::new(1000, &budget);
    // An insert that says it is 16 MB long.
    decoder.instructions(&hex("c0 7f81ffff07")).unwrap();
    let error = (0..100).find_map(|_| decoder.instructions(&[b'x'; 100]).err());
    assert_eq!(error, Some(CodingError::Capacity));
    assert!(budget.used() < 20_000);
}

#[test]
fn mutations_do_no_harm() {
    let clean = hex("3fbd01 c00f 7777 772e 6578 616d 706c 652e 636f 6d c10c 2f73 616d 706c 652f 7061 7468 02");
    let section = hex("0381 1011");
    let mut state = 1u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % bound
    };
    for _ in 0..20_000 {
        let budget = Budget::new(1 << 20);
        let mut decoder = Decoder::new(1 << 12, &budget);
        decoder.allow(220);
        let mut stream = clean.clone();
        let mut block = section.clone();
        stream[below(clean.len())] ^= 1 << below(8);
        block[below(section.len())] ^= 1 << below(8);
        let split = below(clean.len());
        let _ = decoder.instructions(&stream[..split]).and_then(|()| decoder.instructions(&stream[split..]));
        let _ = fields(&mut decoder, &block, false);
        let _ = fields(&mut decoder, &block, true);
        assert!(budget.used() < 10_000);
    }
}

/// One file of the offline interop format: `stream (64) length (32) data`, stream 0 is the encoder stream.
fn blocks(bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut reader = Reader::new(bytes);
    let mut blocks = Vec::new();
    while !reader.is_empty() {
        let stream = reader.u64().unwrap();
        let length = reader.u32().unwrap();
        blocks.push((stream, reader.take(length as usize).unwrap()));
    }
    blocks
}

/// Decodes one file, the encoder stream in pieces of `piece` bytes; sections by stream, in the order of the streams.
fn decode_all(bytes: &[u8], max_capacity: u64, piece: usize) -> Result<Vec<(u64, Fields)>, CodingError> {
    let mut decoder = decoder(max_capacity);
    // Some encoders of the interop wrote no capacity, for in the drafts the table began at its maximum.
    decoder.table.set_capacity(max_capacity as usize);
    let mut done = Vec::new();
    let mut waiting: Vec<(u64, &[u8])> = Vec::new();
    for (stream, data) in blocks(bytes) {
        if stream == 0 {
            for piece in data.chunks(piece) {
                decoder.instructions(piece)?;
                let mut still = Vec::new();
                for (stream, section) in waiting {
                    match fields(&mut decoder, section, false)? {
                        Ok(fields) => done.push((stream, fields)),
                        Err(required) => {
                            assert!(required > decoder.inserted());
                            still.push((stream, section));
                        }
                    }
                }
                waiting = still;
            }
        } else {
            match fields(&mut decoder, data, false)? {
                Ok(fields) => done.push((stream, fields)),
                Err(_) => waiting.push((stream, data)),
            }
        }
    }
    assert!(waiting.is_empty(), "{} sections wait for ever", waiting.len());
    done.sort_by_key(|(stream, _)| *stream);
    Ok(done)
}

/// Header lists of a QIF file.
fn lists(qif: &str) -> Vec<Fields> {
    let mut lists = vec![Fields::new()];
    for line in qif.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once('\t') {
            Some((name, value)) => lists.last_mut().unwrap().push((name.into(), value.into())),
            None => lists.push(Fields::new()),
        }
    }
    lists.retain(|list| !list.is_empty());
    lists
}

/// Files of the QPACK interop: those in `tests/vectors`, and all of them where they are named.
#[test]
fn files_of_other_encoders() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/qpack");
    let all = std::env::var_os("HARSHARK_QPACK_FILES").map(PathBuf::from);
    let mut count = (0, 0, 0);
    for root in [Some(own), all].into_iter().flatten() {
        for encoder in std::fs::read_dir(root.join("encoded/qpack-05")).unwrap().map(|entry| entry.unwrap().path()) {
            for file in std::fs::read_dir(&encoder).unwrap().map(|entry| entry.unwrap().path()) {
                let name = file.file_name().unwrap().to_str().unwrap().to_owned();
                let Some((qif, parameters)) = name.split_once(".out.") else { continue };
                // The example of the draft has no list; it is that of the RFC, see above.
                if qif == "examples" {
                    continue;
                }
                let capacity = parameters.split('.').next().unwrap().parse().unwrap();
                let expected =
                    lists(&String::from_utf8_lossy(&std::fs::read(root.join(format!("qifs/{qif}.qif"))).unwrap()));
                let bytes = std::fs::read(&file).unwrap();
                for piece in [usize::MAX, 1, 7] {
                    let decoded = decode_all(&bytes, capacity, piece);
                    let decoded = decoded.unwrap_or_else(|error| panic!("{}: {error:?}", file.display()));
                    assert!(decoded.len() >= expected.len(), "{}", file.display());
                    for ((stream, decoded), expected) in decoded.iter().zip(&expected) {
                        assert_eq!(decoded, expected, "{} stream {stream}", file.display());
                    }
                    count.1 += decoded.len();
                }
                count.0 += 1;
            }
        }
        for file in std::fs::read_dir(root.join("encoded/errors")).unwrap().map(|entry| entry.unwrap().path()) {
            // Two name the entries 0 and 62 of the static table, which were wrong only while it was that of HPACK.
            let is_right = file.ends_with("err9") || file.ends_with("err10");
            let bytes = std::fs::read(&file).unwrap();
            assert_eq!(decode_all(&bytes, 4096, usize::MAX).is_ok(), is_right, "{}", file.display());
            count.2 += 1;
        }
    }
    println!("{} files, {} sections, {} errors", count.0, count.1, count.2);
    assert!(count.0 >= 5 && count.1 > 100 && count.2 >= 10, "{count:?}");
}
