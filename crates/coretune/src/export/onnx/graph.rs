//! Writes a model down as a graph, by walking its layers as the model does.

use tch::{Kind, Tensor};

use super::messages::{
    AttributeProto, Dimension, FLOAT32, GraphProto, INT64, NodeProto, TensorProto, TensorShapeProto, TensorType,
    TypeProto, ValueInfoProto, attribute,
};
use crate::checkpoints::safetensors_file::bytes_of;
use crate::engine::{EngineError, guard};
use crate::export::source::Source;
use crate::models::{BatchNorm, Convolution, Dropout, Linear, Operations, Segmenter};

/// The input: f32 `[batch, 3, h, w]`, red, green, blue in [0, 1].
pub(super) const IMAGE: &str = "image";
/// An output: f32 `[batch, classes]`.
pub(super) const LOGITS: &str = "logits";
/// An output: their softmax, at the temperature of the calibration.
pub(super) const PROBABILITIES: &str = "probabilities";

/// The graph: (image - mean) / std, backbone, classifier, softmax.
pub(super) fn of(source: &Source) -> Result<GraphProto, EngineError> {
    let mut writer = GraphWriter::default();
    let normalised = writer.normalisation(source.model.normalisation.mean, source.model.normalisation.std);
    let features = source.model.backbone.trace(normalised, &mut writer);
    writer.classifier(&features, source);
    writer.probabilities(source.temperature);

    let (classes, side) = (source.description.classes.len() as i64, source.description.img_size);
    let values = || vec![fixed(classes)];
    Ok(GraphProto {
        node: writer.nodes,
        name: source.description.architecture.family.name().into(),
        initializer: writer.constants.iter().map(constant).collect::<Result<_, _>>()?,
        input: vec![value(IMAGE, vec![fixed(3), fixed(side), fixed(side)])],
        output: vec![value(LOGITS, values()), value(PROBABILITIES, values())],
    })
}

/// The graph: (image - mean) / std, backbone, head, and the logits of the pixels of images of this height and width.
pub(super) fn of_segmenter(network: &Segmenter, size: [i64; 2]) -> Result<GraphProto, EngineError> {
    let mut writer = GraphWriter::default();
    let normalised = writer.normalisation(network.normalisation.mean, network.normalisation.std);
    let logits = network.trace_logits(normalised, &mut writer);
    writer.upsample(&logits, size);

    let pixels = |channels| vec![fixed(channels), fixed(size[0]), fixed(size[1])];
    Ok(GraphProto {
        node: writer.nodes,
        name: format!("{}_{}", network.head.kind(), network.backbone.architecture().family),
        initializer: writer.constants.iter().map(constant).collect::<Result<_, _>>()?,
        input: vec![value(IMAGE, pixels(3))],
        output: vec![value(LOGITS, pixels(network.classes()))],
    })
}

/// Nodes and constants so far. A value is the name of a node's output.
#[derive(Default)]
struct GraphWriter {
    nodes: Vec<NodeProto>,
    constants: Vec<(String, Tensor)>,
}

impl GraphWriter {
    /// Adds a node whose output has its name.
    fn node(&mut self, operator: &str, name: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(ToString::to_string).collect(),
            output: vec![name.into()],
            name: name.into(),
            op_type: operator.into(),
            attribute: attributes,
        });
        name.into()
    }

    fn constant(&mut self, name: String, tensor: &Tensor) -> String {
        self.constants.push((name.clone(), tensor.shallow_clone()));
        name
    }

    fn normalisation(&mut self, mean: [f64; 3], std: [f64; 3]) -> String {
        let per_channel = |values: [f64; 3]| Tensor::from_slice(&values.map(|value| value as f32)).view([1, 3, 1, 1]);
        let mean = self.constant("mean".into(), &per_channel(mean));
        let std = self.constant("std".into(), &per_channel(std));
        let centred = self.node("Sub", "centred", &[IMAGE, &mean], Vec::new());
        self.node("Div", "normalised", &[&centred, &std], Vec::new())
    }

    fn classifier(&mut self, features: &str, source: &Source) {
        let classifier = &source.model.classifier;
        let weight = self.constant("classifier.weight".into(), &classifier.weight);
        let bias = classifier.bias.as_ref().map(|bias| self.constant("classifier.bias".into(), bias));
        let inputs: Vec<&str> = [features, &weight].into_iter().chain(bias.as_deref()).collect();
        self.node("Gemm", LOGITS, &inputs, vec![int("transB", 1)]);
    }

    /// Bilinear, as `models::upsample`: the output `logits`, whatever the number of images.
    fn upsample(&mut self, logits: &str, size: [i64; 2]) {
        let size = self.constant("pixels".into(), &Tensor::from_slice(&size));
        let kept = self.node("Shape", "images_and_classes", &[logits], vec![int("start", 0), int("end", 2)]);
        let sizes = self.node("Concat", "size", &[&kept, &size], vec![int("axis", 0)]);
        self.resize(logits, &sizes, LOGITS);
    }

    /// Bilinear, to sizes `[n, c, h, w]`.
    fn resize(&mut self, x: &str, sizes: &str, name: &str) -> String {
        let how = vec![string("mode", "linear"), string("coordinate_transformation_mode", "half_pixel")];
        // Between them: a region and scales, which this resampling does without.
        self.node("Resize", name, &[x, "", "", sizes], how)
    }

    fn probabilities(&mut self, temperature: Option<f64>) {
        let scaled = match temperature {
            None => LOGITS.to_string(),
            Some(temperature) => {
                let temperature = self.constant("temperature".into(), &Tensor::from(temperature as f32));
                self.node("Div", "calibrated", &[LOGITS, &temperature], Vec::new())
            }
        };
        self.node("Softmax", PROBABILITIES, &[&scaled], vec![int("axis", 1)]);
    }
}

impl Operations for GraphWriter {
    type Value = String;

    fn convolution(&mut self, x: &String, layer: &Convolution) -> String {
        let weight = self.constant(format!("{}.weight", layer.name), &layer.weight);
        let size = layer.weight.size();
        let mut attributes = vec![
            ints("kernel_shape", &size[2..]),
            ints("strides", &[layer.stride; 2]),
            ints("pads", &[layer.padding; 4]),
            int("group", layer.groups),
        ];
        if layer.dilation > 1 {
            attributes.push(ints("dilations", &[layer.dilation; 2]));
        }
        self.node("Conv", &layer.name, &[x, &weight], attributes)
    }

    fn batch_norm(&mut self, x: &String, layer: &BatchNorm) -> String {
        let parts = [
            ("weight", &layer.weight),
            ("bias", &layer.bias),
            ("running_mean", &layer.running_mean),
            ("running_var", &layer.running_var),
        ];
        let parts = parts.map(|(part, tensor)| self.constant(format!("{}.{part}", layer.name), tensor));
        let inputs: Vec<&str> = std::iter::once(x).chain(&parts).map(String::as_str).collect();
        self.node("BatchNormalization", &layer.name, &inputs, vec![float("epsilon", BatchNorm::EPSILON as f32)])
    }

    fn relu(&mut self, x: String) -> String {
        self.node("Relu", &format!("{x}.relu"), &[&x], Vec::new())
    }

    fn add(&mut self, x: String, y: &String) -> String {
        self.node("Add", &format!("{x}.sum"), &[&x, y], Vec::new())
    }

    fn max_pool(&mut self, x: &String) -> String {
        let attributes = vec![ints("kernel_shape", &[3; 2]), ints("strides", &[2; 2]), ints("pads", &[1; 4])];
        self.node("MaxPool", &format!("{x}.max_pool"), &[x], attributes)
    }

    fn mean(&mut self, x: &String) -> String {
        let pooled = self.node("GlobalAveragePool", "pooled", &[x], Vec::new());
        self.node("Flatten", "features", &[&pooled], vec![int("axis", 1)])
    }

    fn pool(&mut self, x: &String) -> String {
        self.node("GlobalAveragePool", &format!("{x}.mean"), &[x], Vec::new())
    }

    fn spread(&mut self, x: &String, like: &String) -> String {
        let shape = self.node("Shape", &format!("{like}.shape"), &[like], Vec::new());
        self.node("Expand", &format!("{x}.spread"), &[x, &shape], Vec::new())
    }

    fn enlarge(&mut self, x: &String, like: &String) -> String {
        let kept = self.node("Shape", &format!("{x}.channels"), &[x], vec![int("start", 0), int("end", 2)]);
        let size = self.node("Shape", &format!("{like}.size"), &[like], vec![int("start", 2), int("end", 4)]);
        let sizes = self.node("Concat", &format!("{x}.enlarged_size"), &[&kept, &size], vec![int("axis", 0)]);
        self.resize(x, &sizes, &format!("{x}.enlarged"))
    }

    fn concatenate(&mut self, maps: &[String]) -> String {
        let inputs: Vec<&str> = maps.iter().map(String::as_str).collect();
        self.node("Concat", &format!("{}.concatenated", inputs[0]), &inputs, vec![int("axis", 1)])
    }

    fn dropout(&mut self, x: String, _layer: &Dropout) -> String {
        x
    }

    fn to_float(&mut self, x: String) -> String {
        x
    }

    fn pointwise(&mut self, x: &String, layer: &Linear) -> String {
        let weight = layer.weight.view([layer.outputs(), layer.inputs(), 1, 1]);
        let weight = self.constant("classifier.weight".into(), &weight);
        let bias = layer.bias.as_ref().map(|bias| self.constant("classifier.bias".into(), bias));
        let inputs: Vec<&str> = [x, &weight].into_iter().chain(&bias).map(String::as_str).collect();
        let attributes = vec![ints("kernel_shape", &[1; 2]), ints("strides", &[1; 2]), ints("pads", &[0; 4])];
        self.node("Conv", "classifier", &inputs, attributes)
    }
}

fn constant((name, tensor): &(String, Tensor)) -> Result<TensorProto, EngineError> {
    let tensor = guard("arranging a weight", || tensor.detach().contiguous())?;
    let raw_data = Some(bytes_of(&tensor)?);
    let data_type = if tensor.kind() == Kind::Int64 { INT64 } else { FLOAT32 };
    Ok(TensorProto { dims: tensor.size(), data_type, name: name.clone(), raw_data })
}

/// An f32 value `[batch, ...]`.
fn value(name: &str, rest: Vec<Dimension>) -> ValueInfoProto {
    let batch = Dimension { dim_value: None, dim_param: Some("batch".into()) };
    let shape = TensorShapeProto { dim: std::iter::once(batch).chain(rest).collect() };
    let tensor_type = Some(TensorType { elem_type: FLOAT32, shape: Some(shape) });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}

fn fixed(extent: i64) -> Dimension {
    Dimension { dim_value: Some(extent), dim_param: None }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: Some(value), r#type: attribute::INT, ..AttributeProto::default() }
}

fn string(name: &str, value: &str) -> AttributeProto {
    let s = Some(value.as_bytes().to_vec());
    AttributeProto { name: name.into(), s, r#type: attribute::STRING, ..AttributeProto::default() }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: values.to_vec(), r#type: attribute::INTS, ..AttributeProto::default() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f: Some(value), r#type: attribute::FLOAT, ..AttributeProto::default() }
}
