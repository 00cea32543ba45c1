//! Computes the maps of a segmentation network in a checkpoint, such as torchvision's `deeplabv3_resnet50`.
//!
//! `cargo run --release --example segmentation_maps CHECKPOINT OUTPUT_STRIDE IMAGES OUTPUT`
//!
//! IMAGES is a safetensors file with `images`, u8 `[n, height, width, 3]`. OUTPUT gets the logits at the stride of the head,
//! those of every pixel and those of the auxiliary head, and every tensor of the network under `network.`. Beside it the
//! network is written as ONNX.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use coretune::checkpoints::{Checkpoint, load_segmenter, recognise, safetensors_file, segmentation_heads};
use coretune::export::{Format, Request, export_segmenter};
use coretune::models::{Backbone, Mode, Network, Normalisation, OutputStride, Segmenter, upsample};
use tch::{Device, Tensor, no_grad};

fn main() -> Result<(), Box<dyn Error>> {
    compute(&std::env::args().skip(1).collect::<Vec<_>>())
}

/// What `main` does, with the arguments of the command line.
pub(crate) fn compute(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [checkpoint, output_stride, images, output] = arguments else {
        return Err("CHECKPOINT OUTPUT_STRIDE IMAGES OUTPUT".into());
    };
    let output_stride = OutputStride::of(output_stride.parse()?).ok_or("OUTPUT_STRIDE is 8, 16 or 32")?;
    let network = network(Path::new(checkpoint), output_stride)?;
    let (_, tensors) = safetensors_file::read(Path::new(images))?;
    let images = tensors.get("images").ok_or("IMAGES has no tensor `images`")?;
    let size = images.size();
    let maps = no_grad(|| network.forward(images, Mode::Evaluate, None, true))?;
    let pixels = upsample(&maps.logits, [size[1], size[2]])?;

    let mut named = vec![("pixels".to_string(), pixels), ("logits".to_string(), maps.logits)];
    named.extend(maps.auxiliary.map(|auxiliary| ("auxiliary".to_string(), auxiliary)));
    let parameters = network.tensors("network.");
    named.extend(parameters.iter().map(|p| (p.name.clone(), p.tensor.shallow_clone())));
    let named: Vec<(String, Tensor)> =
        named.into_iter().map(|(name, tensor)| (name, tensor.detach().contiguous())).collect();
    safetensors_file::write(Path::new(output), &BTreeMap::new(), &named)?;

    let graph = Path::new(output).with_extension("onnx");
    let request = Request { format: Format::Onnx, output: graph, with_projection: false, force: true };
    export_segmenter(&network, [size[1], size[2]], &BTreeMap::new(), &request)?;
    Ok(())
}

/// The network that the checkpoint holds, with its weights.
fn network(path: &Path, output_stride: OutputStride) -> Result<Segmenter, Box<dyn Error>> {
    let checkpoint = Checkpoint::open(path)?;
    let recognised = recognise(&checkpoint, None)?;
    let heads = segmentation_heads(&checkpoint, &recognised).ok_or("CHECKPOINT has no segmentation head")?;
    let backbone = Backbone::dilated(&recognised.architecture, output_stride, 0, Device::Cpu)?;
    let network = Segmenter::new(backbone, &heads, Normalisation::IMAGENET, 0)?;
    load_segmenter(&checkpoint, &recognised, &network, &[])?;
    Ok(network)
}
