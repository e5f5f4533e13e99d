use super::*;
use crate::base::*;
use crate::tcp::*;
#[test]
#[ignore]
fn real() {
    let dir = std::env::var("TLSDIR").unwrap();
    let keys = KeyLog::default();
    if let Ok(file) = std::env::var("TLSKEYS") {
        eprintln!("{:?}", keys.parse(&std::fs::read(file).unwrap(), SecretSource::KeyLog));
    }
    if let Ok(file) = std::env::var("TLSRSA") {
        #[cfg(any())]
        keys.add_rsa_key(&std::fs::read(file).unwrap()).unwrap();
        let _ = file;
    }
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "ev"))
        .collect();
    files.sort();
    let (mut good, mut bad) = (0, 0);
    for f in files {
        let budget = Budget::new(1 << 30);
        let mut session = Session::new(&Limits::default(), &budget);
        let mut got = [Vec::new(), Vec::new()];
        let mut offset = [0u64; 2];
        let mut others = Vec::new();
        {
            let mut out = |side: Side, event: StreamEvent<'_>| match event {
                StreamEvent::Data(c) => got[side.index()].extend_from_slice(c.data),
                e => others.push(format!("{side:?} {e:?}")),
            };
            for line in std::fs::read_to_string(&f).unwrap().lines() {
                let w: Vec<_> = line.split(' ').collect();
                let side = if w[0] == "C" { Side::Client } else { Side::Server };
                let stamp = Stamp { frame: FrameNumber(w[1].parse().unwrap()), time: Timestamp(w[2].parse().unwrap()) };
                let data: Vec<u8> =
                    (0..w[3].len() / 2).map(|i| u8::from_str_radix(&w[3][2 * i..2 * i + 2], 16).unwrap()).collect();
                let chunk = Chunk { data: &data, span: Span::of(stamp, false), offset: offset[side.index()] };
                offset[side.index()] += data.len() as u64;
                session.push(side, StreamEvent::Data(chunk), &keys, &mut out);
            }
            session.finish(&keys, &mut out);
        }
        let exp = std::fs::read_to_string(f.with_extension("exp")).unwrap();
        let hexed: Vec<String> = got.iter().map(|g| g.iter().map(|b| format!("{b:02x}")).collect()).collect();
        let mut exp: Vec<&str> = exp.lines().collect();
        exp.resize(2, "");
        let same = (hexed[0] == exp[0] && hexed[1] == exp[1]) || (hexed[0] == exp[1] && hexed[1] == exp[0]);
        if same {
            good += 1
        } else {
            bad += 1
        }
        if !same || std::env::var("V").is_ok() {
            println!(
                "{} same={same} got {}/{} exp {}/{} flipped {} info {:?} anomalies {:?} others {:?} leased {}",
                f.display(),
                hexed[0].len() / 2,
                hexed[1].len() / 2,
                exp[0].len() / 2,
                exp[1].len() / 2,
                session.is_flipped(),
                session.info(),
                session.anomalies(),
                others,
                budget.used()
            );
        }
    }
    println!("good {good} bad {bad}");
}
