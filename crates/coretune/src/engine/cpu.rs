//! The processor, as far as bit-identical results depend on it.

/// Instruction sets by which libtorch chooses among its kernels.
const DECISIVE: [&str; 6] = ["avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd"];

/// Model of the processor and the instruction sets that libtorch chooses its kernels by, such as
/// `AMD EPYC (family 25, model 1): avx2 fma`; only the architecture if the system does not report more (outside of Linux).
pub fn cpu_type() -> String {
    described(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
}

fn described(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let of_name = |line: &str| {
            line.split_once(':').filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_string())
        };
        cpuinfo.lines().find_map(of_name)
    };
    let model = match (field("model name"), field("cpu family"), field("model")) {
        (Some(name), Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        (Some(name), ..) => name,
        _ => std::env::consts::ARCH.to_string(),
    };
    let flags = field("flags").or_else(|| field("Features")).unwrap_or_default();
    let present = |flag: &&str| flags.split_whitespace().any(|other| other == *flag);
    let decisive: Vec<&str> = DECISIVE.into_iter().filter(present).collect();
    if decisive.is_empty() { model } else { format!("{model}: {}", decisive.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::described;

    #[test]
    fn a_processor_is_named_with_what_its_bits_depend_on() {
        let cpuinfo = "processor : 0\ncpu family : 25\nmodel : 1\nmodel name : AMD EPYC\nflags : fpu avx avx2 fma\n";
        assert_eq!(described(cpuinfo), "AMD EPYC (family 25, model 1): avx2 fma");
        assert_eq!(described(""), std::env::consts::ARCH);
    }
}
