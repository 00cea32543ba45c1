//! Bakes the folder of libtorch into the binary and its tests, so that none needs `LD_LIBRARY_PATH`.

fn main() {
    let folder = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names the folder of libtorch");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    println!("cargo::rerun-if-changed=build.rs");
}
