//! The command line.
fn main() {
    println!("{:?}", tch_probe());
}
fn tch_probe() -> bool {
    true
}
