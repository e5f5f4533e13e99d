//! The C ABI, used by a C program under valgrind: every function, rightly and wrongly.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail by panic and tell why it was skipped"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo put the library of this build: beside this test.
fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

/// A HAR without what names its maker.
fn har(path: &Path) -> Value {
    let mut har: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    har["log"]["creator"].take();
    har
}

/// The C compiler of this machine, found as build scripts find it (also by CC and CFLAGS).
fn c_compiler() -> Command {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    cc::Build::new().target(&target).host(&target).opt_level(0).cargo_metadata(false).get_compiler().to_command()
}

fn compile(folder: &Path) -> PathBuf {
    let program = folder.join("consumer");
    // By its soname, as an installed one is found.
    for name in ["libharshark.so", "libharshark.so.1"] {
        std::os::unix::fs::symlink(built().join("libharshark.so"), folder.join(name)).unwrap();
    }
    run(c_compiler()
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-g", "-I"])
        .arg(root().join("include"))
        .arg(root().join("tests/abi/consumer.c"))
        .arg("-L")
        .arg(folder)
        .arg(format!("-Wl,-rpath,{}", folder.display()))
        .args(["-lharshark", "-o"])
        .arg(&program));
    program
}

#[test]
fn a_c_program_uses_every_function() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path());
    let capture = root().join("tests/data/small-clear.pcapng");
    let words = [capture.as_os_str(), folder.path().as_os_str()];
    if Command::new("valgrind").arg("--version").output().is_ok() {
        let text = run(Command::new("valgrind")
            .args(["--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect", "--"])
            .arg(&program)
            .args(words));
        assert!(text.contains("ERROR SUMMARY: 0 errors"), "{text}");
    } else {
        println!("valgrind is not installed: the program runs without it");
        run(Command::new(&program).args(words));
    }
    let standalone = folder.path().join("standalone.har");
    run(Command::new(env!("CARGO_BIN_EXE_harshark")).arg("-q").arg(&capture).arg("-o").arg(&standalone));
    let expected = har(&standalone);
    assert!(!expected["log"]["entries"].as_array().unwrap().is_empty());
    for name in ["frames.har", "bytes.har", "convert.har"] {
        assert!(har(&folder.path().join(name)) == expected, "{name} differs");
    }
    let parts: usize = ["part1.har", "part2.har"]
        .iter()
        .map(|name| har(&folder.path().join(name))["log"]["entries"].as_array().unwrap().len())
        .sum();
    assert_eq!(parts, expected["log"]["entries"].as_array().unwrap().len());
}

#[test]
fn the_header_is_c_and_cpp_and_names_every_function() {
    let header = root().join("include/harshark.h");
    for (compiler, language) in [("cc", "c"), ("c++", "c++")] {
        run(Command::new(compiler).args(["-fsyntax-only", "-Wall", "-Werror", "-x", language]).arg(&header));
    }
    let calls = |text: &str| -> BTreeSet<String> {
        text.match_indices("harshark_")
            .filter_map(|(at, _)| {
                let word: String = text[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                text[at + word.len()..].starts_with('(').then_some(word)
            })
            .collect()
    };
    let declared = calls(&std::fs::read_to_string(&header).unwrap());
    let used = calls(&std::fs::read_to_string(root().join("tests/abi/consumer.c")).unwrap());
    let exported: BTreeSet<String> =
        run(Command::new("nm").args(["-D", "--defined-only"]).arg(built().join("libharshark.so")))
            .lines()
            .filter_map(|line| line.split_whitespace().last())
            .filter(|name| name.starts_with("harshark_"))
            .map(str::to_owned)
            .collect();
    assert_eq!(declared, exported);
    assert_eq!(declared, used);
}
