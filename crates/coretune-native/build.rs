//! Compiles the bridge to libtorch's C++ against the same headers as torch-sys.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=bridge");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo::rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    let libraries = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names the folder of libtorch");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{libraries}");
    let root = match std::env::var("LIBTORCH_INCLUDE") {
        Ok(folder) => PathBuf::from(folder),
        Err(_) => PathBuf::from(&libraries).join(".."),
    };
    let headers = root.join("include");
    assert!(
        headers.join("ATen/ops/_fused_sgd.h").is_file(),
        "{}: the headers of libtorch are not there; set LIBTORCH_INCLUDE to the folder that holds include/",
        headers.display()
    );
    // The binary interface of strings that torch-sys takes, unless it is told otherwise.
    let abi = std::env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_string());
    cc::Build::new()
        .cpp(true)
        .pic(true)
        .warnings(false)
        .std("c++17")
        .define("_GLIBCXX_USE_CXX11_ABI", &*abi)
        .include(&headers)
        .include(headers.join("torch/csrc/api/include"))
        // The stand-ins for gloo's own headers, which the wheel of torch does not bring.
        .include("bridge")
        .define("USE_C10D_GLOO", None)
        .file("bridge/bridge.cpp")
        .file("bridge/ranks.cpp")
        .file("bridge/recomputed.cpp")
        .compile("coretune_bridge");
    // gloo is in libtorch_cuda too, which torch-sys names first: without this the program would need CUDA to start.
    println!("cargo::rustc-link-search=native={libraries}");
    println!("cargo::rustc-link-lib=dylib=torch_cpu");
}
