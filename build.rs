//! Gives the shared library its soname, whose number is that of the C ABI.
//!
//! With the feature `bindgen`: reads the structures of the installed Wireshark's headers, for the test of the layout table.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libharshark.so.1");
    }
    #[cfg(feature = "bindgen")]
    layout::generate();
}

#[cfg(feature = "bindgen")]
mod layout {
    use std::env;
    use std::path::PathBuf;
    use std::process::Command;

    /// Structures whose fields the plugin reads or fills in.
    const TYPES: [&str; 16] = [
        "Buffer",
        "_capture_file",
        "_export_object_entry_t",
        "_export_object_list_t",
        "_frame_data",
        "_funnel_bt_t",
        "_funnel_ops_t",
        "_header_field_info",
        "_packet_info",
        "_stat_tap_ui",
        "epan_dissect",
        "hf_register_info",
        "packet_provider_data",
        "proto_plugin",
        "wtap_packet_header",
        "wtap_rec",
    ];

    /// Writes `wireshark.rs` to the folder of the build.
    pub fn generate() {
        println!("cargo:rerun-if-changed=include/wireshark.h");
        for name in ["PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_SYSROOT_DIR"] {
            println!("cargo:rerun-if-env-changed={name}");
        }
        let output = Command::new("pkg-config")
            .args(["--cflags", "wireshark"])
            .output()
            .expect("the feature bindgen needs pkg-config");
        assert!(output.status.success(), "no headers of Wireshark: install its development package");
        let flags = String::from_utf8(output.stdout).expect("flags are text");
        let mut builder = bindgen::Builder::default()
            .header("include/wireshark.h")
            .clang_args(flags.split_whitespace())
            .allowlist_var("WIRESHARK_VERSION_M.*|FILE_READ_DONE|file_state_FILE_READ_DONE|ftenum_FT_.*|WTAP_ENCAP_.*")
            .layout_tests(false)
            .derive_default(false)
            .generate_comments(false);
        // Headers of another system, in a folder of its own.
        if let Ok(root) = env::var("PKG_CONFIG_SYSROOT_DIR") {
            builder = builder.clang_arg(format!("--sysroot={root}"));
        }
        for name in TYPES {
            builder = builder.allowlist_type(name);
        }
        let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
        builder
            .generate()
            .expect("headers that clang reads")
            .write_to_file(folder.join("wireshark.rs"))
            .expect("a folder to write to");
    }
}
