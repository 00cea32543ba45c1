//! Files that are cut, altered, hostile, or no checkpoints at all: refused with a sentence, never a panic.

use std::fs;
use std::io::Write;

use coretune::checkpoints::{Checkpoint, CheckpointError, inspect};
use tempfile::TempDir;

use crate::fixture::{bytes, file_of};

/// Opens bytes as a file and reads its backbone.
fn try_all(bytes: &[u8]) -> Result<(), CheckpointError> {
    let folder = TempDir::new().unwrap();
    inspect(file_of(bytes, &folder), None).map(|_| ())
}

#[test]
fn cut_files_are_refused_at_every_length() {
    for file in [
        "torchvision_resnet18.pth",
        "solo_learn_encoder.ckpt",
        "timm_resnet50.safetensors",
        "torchvision_resnet18.npz",
        "torchvision_resnet18.tar",
    ] {
        let whole = bytes(file);
        for part in 0..24 {
            let cut = whole.len() * part / 24;
            let error = try_all(&whole[..cut]).expect_err(file);
            assert!(!error.to_string().is_empty());
        }
        let short = try_all(&whole[..whole.len() - 3]);
        // The end of a tar is padding.
        assert!(short.is_err() || file == "torchvision_resnet18.tar", "{file}");
    }
}

#[test]
fn altered_bytes_never_panic() {
    for file in
        ["lightly_cifar.ckpt", "solo_learn_encoder.ckpt", "hugging_face.safetensors", "torchvision_resnet18.npz"]
    {
        let whole = bytes(file);
        for step in 0..40 {
            let mut altered = whole.clone();
            // Spread over the file, denser in its first kilobytes, where the structure of most containers lies.
            let at = if step % 2 == 0 { step * 97 } else { whole.len() / 40 * step };
            altered[at % whole.len()] ^= 0x55;
            let _ = try_all(&altered);
        }
    }
}

#[test]
fn a_flipped_bit_in_a_weight_of_a_zip_is_noticed() {
    let mut altered = bytes("lightly_cifar.ckpt");
    // conv1.weight is the first storage: the first bytes after the entry's name and padding.
    let at = altered.windows(7).position(|bytes| bytes == b"/data/0").unwrap() + 128;
    altered[at] ^= 0x01;
    let error = try_all(&altered).unwrap_err();
    assert!(matches!(error, CheckpointError::Damaged { .. }), "{error}");
}

#[test]
fn files_that_are_no_checkpoints_are_told_apart() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "it is empty"),
        (b"epoch 1 loss 2.3\n", "it is a text file"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "it is a Git LFS pointer"),
        (&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0], "it is compressed with gzip"),
        (&[0xff; 600], "its first bytes match no supported format"),
    ];
    for (bytes, found) in cases {
        let error = try_all(bytes).unwrap_err();
        assert!(matches!(error, CheckpointError::NotACheckpoint { .. }), "{error}");
        assert!(error.to_string().contains(found), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_missing_file_and_a_folder_are_refused() {
    let folder = TempDir::new().unwrap();
    let error = Checkpoint::open(folder.path().join("none.pth")).unwrap_err();
    assert!(matches!(error, CheckpointError::File { .. }), "{error}");
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(matches!(error, CheckpointError::NotACheckpoint { .. }), "{error}");
    assert!(error.to_string().contains("it is a folder"), "{error}");
}

/// `{"payload": os.system("touch <file>")}` in protocol 2.
fn executing_pickle(file: &str) -> Vec<u8> {
    let command = format!("touch {file}");
    let mut pickle = b"\x80\x02}X\x07\x00\x00\x00payloadcposix\nsystem\n".to_vec();
    pickle.extend(b"X");
    pickle.extend((command.len() as u32).to_le_bytes());
    pickle.extend(command.as_bytes());
    pickle.extend(b"\x85Rs.");
    pickle
}

#[test]
fn a_pickle_that_would_run_a_command_is_named_and_not_run() {
    let folder = TempDir::new().unwrap();
    let trace = folder.path().join("trace");
    let error = Checkpoint::open(file_of(&executing_pickle(trace.to_str().unwrap()), &folder)).unwrap_err();
    assert!(matches!(error, CheckpointError::NoTensors { .. }), "{error}");
    assert!(error.to_string().contains("payload (posix.system)"), "{error}");
    assert!(!trace.exists());
}

#[test]
fn tensors_inside_a_foreign_object_are_refused() {
    // An instance of a class of its own whose attributes hold a tensor, in the zip of torch.save.
    let pickle = b"\x80\x02}X\x05\x00\x00\x00modelc__main__\nNet\n)\x81}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n\
        ((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85\
        \x89ccollections\nOrderedDict\n)RtRsbs.";
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.pth");
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in [("model/data.pkl", &pickle[..]), ("model/data/0", &[0; 8]), ("model/version", b"3\n")] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
    let error = Checkpoint::open(path).unwrap_err();
    assert!(matches!(&error, CheckpointError::Foreign { kind, .. } if kind == "__main__.Net"), "{error}");
    assert!(error.hint().unwrap().to_string().contains("state_dict"));
}

#[test]
fn an_object_in_the_place_of_a_tensor_is_refused() {
    let mut altered = bytes("solo_learn_encoder.ckpt");
    // The name of the first batch norm's bias now belongs to what the file calls its epoch: the key of the integer is
    // of the same length.
    let key = b"pytorch-lightning_version";
    let at = altered.windows(key.len()).position(|bytes| bytes == key).unwrap();
    altered[at..at + key.len()].copy_from_slice(b"encoder.layer1.1.bn1.bias");
    let folder = TempDir::new().unwrap();
    let checkpoint = Checkpoint::open(file_of(&altered, &folder)).unwrap();
    let error = checkpoint.read("encoder.layer1.1.bn1.bias").unwrap_err();
    assert!(matches!(&error, CheckpointError::NotATensor { kind, .. } if kind == "str"), "{error}");
    assert!(checkpoint.read("encoder.layer1.9.bn1.bias").is_err());
}

/// A safetensors file with this header and so many bytes of 2.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![2; data]);
    bytes
}

/// The header of one float in so many dimensions.
fn many_dimensions(count: usize) -> String {
    let shape = vec!["1"; count].join(",");
    format!(r#"{{"a":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,4]}}}}"#)
}

#[test]
fn a_bool_of_any_byte_is_false_or_true() {
    let folder = TempDir::new().unwrap();
    let header = r#"{"a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}}"#;
    let mut file = with_header(header, 3);
    *file.last_mut().unwrap() = 0;
    let checkpoint = Checkpoint::open(file_of(&file, &folder)).unwrap();
    let bools = checkpoint.read("a").unwrap();
    assert_eq!(Vec::<bool>::try_from(&bools).unwrap(), [true, true, false]);
    // The bytes themselves: a 2 in a bool counts as two.
    assert_eq!(bools.sum(tch::Kind::Int64).int64_value(&[]), 2);
    let many = Checkpoint::open(file_of(&with_header(&many_dimensions(64), 4), &folder)).unwrap();
    assert_eq!(many.read_as_stored("a").unwrap().dim(), 64);
}

#[test]
fn a_safetensors_header_that_lies_is_refused() {
    for (header, data) in [
        (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 7),
        (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 9),
        (r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8),
        (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8),
        (r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#, 8),
        (r#"{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}"#, 8),
        (r#"{"a":{"dtype":"F32","shape":[0,9223372036854775808],"data_offsets":[0,0]}}"#, 0),
        (r#"{"a":"#, 8),
        (&many_dimensions(65), 4),
        (&many_dimensions(5000), 4),
    ] {
        let error = try_all(&with_header(header, data)).unwrap_err();
        assert!(matches!(error, CheckpointError::Damaged { .. }), "{header}: {error}");
    }
}

#[test]
fn weights_of_less_than_16_bits_are_called_that() {
    for element in ["F8_E4M3", "F8_E5M2"] {
        let header = format!(
            r#"{{"conv1.weight":{{"dtype":"{element}","shape":[2],"data_offsets":[0,2]}},"b":{{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}}}"#
        );
        let error = try_all(&with_header(&header, 6)).unwrap_err();
        assert!(
            error.to_string().contains(&format!("holds {element}, floating point numbers of less than 16 bits")),
            "{error}"
        );
        assert!(error.hint().unwrap().to_string().contains("torch.float32"));
    }
    // As `torch.save` writes them: the type beside a storage of bytes.
    let storage = b"(X\x07\0\0\0storagectorch.storage\nUntypedStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ";
    let pickle = [
        &b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v3\n("[..],
        storage,
        b"K\0K\x04\x85K\x01\x85\x89ccollections\nOrderedDict\n)Rctorch\nfloat8_e4m3fn\ntRs.",
    ];
    let error = try_all(&torch_zip(&pickle.concat())).unwrap_err().to_string();
    assert!(error.contains("a tensor in") && error.contains("holds float8_e4m3fn, floating point numbers"), "{error}");
}

/// A `torch.save` zip with this pickle and one storage of a single float.
fn torch_zip(pickle: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in [("a/data.pkl", pickle), ("a/version", b"3\n"), ("a/data/0", &1f32.to_le_bytes())] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_tensor_that_its_strides_blow_up_is_refused() {
    let tensor = |size: &[u8]| {
        let mut pickle =
            b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n\
            X\x01\0\0\x000X\x03\0\0\0cpuK\x01tQK\0"
                .to_vec();
        pickle.extend(size);
        pickle.extend(b"\x85K\0\x85\x89ccollections\nOrderedDict\n)RtRs.");
        torch_zip(&pickle)
    };
    let folder = TempDir::new().unwrap();
    assert_eq!(Checkpoint::open(file_of(&tensor(b"K\x01"), &folder)).unwrap().tensors()["w"].shape, [1]);
    // A million elements, all of them the one float.
    let error = Checkpoint::open(file_of(&tensor(b"J@B\x0f\0"), &folder)).unwrap_err();
    assert!(error.to_string().contains("larger than the file"), "{error}");
}

#[test]
fn a_pickle_of_many_values_or_levels_is_refused_cheaply() {
    let folder = TempDir::new().unwrap();
    let many = [b"\x80\x02](".to_vec(), vec![b'N'; 400_000], b"e.".to_vec()].concat();
    let error = Checkpoint::open(file_of(&torch_zip(&many), &folder)).unwrap_err();
    assert!(error.to_string().contains("more values than its size allows"), "{error}");
    for levels in [300, 990, 5000] {
        let deep = [b"\x80\x02".to_vec(), vec![b']'; levels], vec![b'a'; levels - 1], b".".to_vec()].concat();
        assert!(Checkpoint::open(file_of(&torch_zip(&deep), &folder)).is_err(), "{levels} levels");
    }
}

#[test]
fn a_zip_that_unpacks_to_far_more_than_it_is_is_refused() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let deflated = zip::write::SimpleFileOptions::default();
    for name in ["a/data.pkl", "x.npy"] {
        zip.start_file(name, deflated).unwrap();
        zip.write_all(&vec![0; 80 << 20]).unwrap();
    }
    let folder = TempDir::new().unwrap();
    let error = Checkpoint::open(file_of(&zip.finish().unwrap().into_inner(), &folder)).unwrap_err();
    assert!(error.to_string().contains("would unpack to"), "{error}");
}

#[test]
fn a_sparse_entry_of_a_tar_is_refused() {
    let mut tar = bytes("torchvision_resnet18.tar");
    tar[156] = b'S';
    let error = try_all(&tar).unwrap_err();
    assert!(error.to_string().contains("is not a file"), "{error}");
}

#[test]
fn what_is_not_a_regular_file_is_refused_before_it_is_read() {
    let error = Checkpoint::open("/dev/zero").unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}

/// An entry of a tar, with its checksum.
fn tar_entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut entry = vec![0; 512];
    entry[..name.len()].copy_from_slice(name.as_bytes());
    entry[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    entry[156] = kind;
    entry[257..265].copy_from_slice(b"ustar\x0000");
    entry[148..156].fill(b' ');
    let sum: u32 = entry.iter().map(|&byte| u32::from(byte)).sum();
    entry[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    entry.extend(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

#[test]
fn limits_hold_for_every_pickle_of_a_file() {
    let many = [&b"\x80\x02}X\x01\0\0\0k]("[..], &vec![b'N'; 400_000], b"es."].concat();
    let copied = [&b"\x80\x02}X\x01\0\0\0k](]q\0("[..], &[b'N'; 5000], b"eq\0", &b"h\0".repeat(150), b"es."].concat();
    // Of two pickles the reader takes the one with the shorter folder.
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in [("longer/data.pkl", &b"\x80\x02}."[..]), ("a/data.pkl", &many)] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    let tables = [tar_entry("storages", b'0', b"\x80\x02K\0.\x80\x02]."), tar_entry("tensors", b'0', b"\x80\x02K\0.")];
    let tar = [tables.concat(), tar_entry("pickle", b'0', &many), vec![0; 1024]].concat();
    let text = [b"L119547037146038801333356L\n.I1001\n.}.", many.as_slice()].concat();
    let folder = TempDir::new().unwrap();
    for file in [zip.finish().unwrap().into_inner(), torch_zip(&copied), tar, text] {
        let error = Checkpoint::open(file_of(&file, &folder)).unwrap_err();
        assert!(error.to_string().contains("more values than its size allows"), "{error}");
    }
    // An attribute hides that the next entry is shorter than its header says, and what follows it.
    let hidden = [tar_entry("pax", b'x', b"9 size=0\n"), tar_entry("cover", b'0', &[0; 512])].concat();
    let error = Checkpoint::open(file_of(&hidden, &folder)).unwrap_err();
    assert!(error.to_string().contains("an attribute changes"), "{error}");
}
