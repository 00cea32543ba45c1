//! ONNX: the graph of a model, written from the layers that the model itself computes with, and read back.

mod evaluate;
mod graph;
mod messages;

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;
use tch::{Kind, Tensor};

use super::source::Source;
use super::{ExportError, Format};
use crate::checkpoints::CheckpointError;
use crate::engine::guard;
use crate::files;
use crate::models::Segmenter;
use graph::{IMAGE, LOGITS, PROBABILITIES};
use messages::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};

/// Version of the file format; the one that belongs to [`OPSET`].
const IR_VERSION: i64 = 8;
/// Version of the operators.
const OPSET: i64 = 17;
/// How far the probabilities may be from the softmax of the logits.
const PROBABILITY_TOLERANCE: f64 = 1e-5;
/// The most bytes that readers of protobuf take for one message.
const LARGEST: usize = i32::MAX as usize;

/// Writes the model from pixels in [0, 1] to logits and probabilities.
pub(super) fn write(path: &Path, source: &Source, metadata: &BTreeMap<String, String>) -> Result<(), ExportError> {
    write_graph(path, graph::of(source)?, metadata)
}

/// Writes a segmentation network from pixels in [0, 1] to the logits of each pixel.
pub(super) fn write_segmenter(
    path: &Path,
    network: &Segmenter,
    size: [i64; 2],
    metadata: &BTreeMap<String, String>,
) -> Result<(), ExportError> {
    write_graph(path, graph::of_segmenter(network, size)?, metadata)
}

fn write_graph(path: &Path, graph: GraphProto, metadata: &BTreeMap<String, String>) -> Result<(), ExportError> {
    let entry = |(key, value): (&String, &String)| StringStringEntryProto { key: key.clone(), value: value.clone() };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "coretune".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: metadata.iter().filter(|(key, _)| *key != "format").map(entry).collect(),
    };
    let bytes = model.encoded_len();
    if bytes > LARGEST {
        return Err(ExportError::TooLarge { bytes, most: LARGEST });
    }
    files::write_whole(path, &model.encode_to_vec()).map_err(ExportError::write(path))
}

/// What the file computes of images u8 `[n, h, w, 3]`: its logits `[n, classes]`, once its probabilities have been found
/// to be their softmax at `temperature`.
pub(super) fn logits(path: &Path, images: &Tensor, temperature: Option<f64>) -> Result<Tensor, ExportError> {
    let differs = differs("a graph from image to logits and probabilities");
    let mut outputs = outputs(path, images, &differs)?;
    let mut output = |name: &str| outputs.remove(name).ok_or_else(|| differs(format!("no {name}")));
    let (logits, probabilities) = (output(LOGITS)?, output(PROBABILITIES)?);
    let off = guard("checking probabilities", || {
        let expected = (&logits / temperature.unwrap_or(1.0)).softmax(1, Kind::Float);
        (probabilities - expected).abs().max().double_value(&[])
    })?;
    if off.is_nan() || off > PROBABILITY_TOLERANCE {
        return Err(differs(format!("probabilities that are off by {off:.1e}")));
    }
    Ok(logits)
}

/// What the file computes of images u8 `[n, h, w, 3]`: the logits of each pixel `[n, classes, h, w]`.
pub(super) fn pixel_logits(path: &Path, images: &Tensor) -> Result<Tensor, ExportError> {
    let differs = differs("a graph from image to the logits of each pixel");
    outputs(path, images, &differs)?.remove(LOGITS).ok_or_else(|| differs(format!("no {LOGITS}")))
}

fn differs(expected: &'static str) -> impl Fn(String) -> ExportError {
    move |found| ExportError::Differs { format: Format::Onnx, expected: expected.into(), found }
}

/// The outputs of the file's graph by name.
fn outputs(
    path: &Path,
    images: &Tensor,
    differs: &impl Fn(String) -> ExportError,
) -> Result<BTreeMap<String, Tensor>, ExportError> {
    let bytes =
        std::fs::read(path).map_err(|source| CheckpointError::File { path: path.into(), doing: "read", source })?;
    let model = ModelProto::decode(bytes.as_slice()).map_err(|error| differs(error.to_string()))?;
    drop(bytes);
    let image = guard("scaling the images", || images.permute([0, 3, 1, 2]).contiguous().to_kind(Kind::Float) / 255.0)?;
    let graph = model.graph.ok_or_else(|| differs("no graph".into()))?;
    evaluate::run(graph, BTreeMap::from([(IMAGE.to_string(), image)])).map_err(differs)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::messages::NodeProto;
    use super::*;
    use crate::export::tests::source;
    use crate::export::{metadata, parity};

    /// The logits of a graph that was edited after it was written.
    fn edited(edit: impl FnOnce(&mut GraphProto)) -> Result<Tensor, ExportError> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.onnx");
        let source = source(1);
        write(&path, &source, &metadata::of(&source, Format::Onnx).unwrap()).unwrap();
        let mut model = ModelProto::decode(std::fs::read(&path).unwrap().as_slice()).unwrap();
        edit(model.graph.as_mut().unwrap());
        std::fs::write(&path, model.encode_to_vec()).unwrap();
        logits(&path, &parity::images(32).unwrap(), source.temperature)
    }

    fn node<'a>(graph: &'a mut GraphProto, name: &str) -> &'a mut NodeProto {
        graph.node.iter_mut().find(|node| node.name == name).unwrap()
    }

    /// Largest difference from the logits of the graph as it was written.
    fn change(edit: impl FnOnce(&mut GraphProto)) -> f64 {
        (edited(edit).unwrap() - edited(|_| {}).unwrap()).abs().max().double_value(&[])
    }

    #[test]
    fn what_a_node_says_is_what_is_computed() {
        assert!(change(|_| {}) < 1e-9);
        assert!(change(|graph| node(graph, "bn1").attribute[0].f = Some(0.5)) > 1e-3);
        let unpadded = |graph: &mut GraphProto| node(graph, "layer2.0.conv2").attribute[2].ints = vec![0; 4];
        assert!(edited(unpadded).is_err(), "the sum would have two shapes");
        assert!(change(|graph| node(graph, "bn1.relu.max_pool").attribute[1].ints = vec![1, 1]) > 1e-3);
        assert!(change(|graph| node(graph, "layer1.0.conv2").input[0] = "layer1.0.bn1".into()) > 1e-3);
        assert!(change(|graph| graph.initializer[0].raw_data = Some(vec![0; 12])) > 1e-3);
    }

    #[test]
    fn a_graph_that_cannot_be_computed_is_refused_in_words() {
        let refused = |edit: &dyn Fn(&mut GraphProto), part: &str| {
            let error = edited(edit).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refused(&|graph| node(graph, "bn1.relu").op_type = "Gelu".into(), "bn1.relu is Gelu of 1 operands");
        refused(&|graph| drop(graph.node.remove(3)), "no node computes");
        refused(&|graph| graph.initializer[0].dims = vec![1 << 62, 8], "is not an f32 tensor");
        refused(&|graph| graph.initializer[0].raw_data = None, "is not an f32 tensor");
        refused(&|graph| node(graph, "conv1").attribute[0].ints = vec![1, 1], "kernel_shape that differs");
        refused(&|graph| node(graph, "conv1").attribute[2].ints = vec![0, 0, 1, 1], "uneven padding");
        refused(&|graph| graph.output.clear(), "no logits");
        refused(&|graph| node(graph, "probabilities").input[0] = LOGITS.into(), "probabilities that are off by");
    }
}
