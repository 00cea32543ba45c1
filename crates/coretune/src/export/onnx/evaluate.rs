//! Computes what a graph says, operator by operator, with the meaning that the ONNX standard gives them.
//!
//! It takes every number from the file (shapes, strides, epsilon, weights) and knows nothing of the model it came from:
//! only so does it show that the file alone computes the same.

use std::collections::{BTreeMap, HashMap};

use tch::{Kind, Tensor, no_grad};

use super::messages::{FLOAT32, GraphProto, INT64, NodeProto, TensorProto};
use crate::engine::guard;

/// The graph's outputs by name, for these inputs; else what is wrong with it, as text.
pub(super) fn run(mut graph: GraphProto, inputs: BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, String> {
    let mut values = Values::new(&mut graph, inputs)?;
    for node in &graph.node {
        let output = node.output.first().ok_or_else(|| format!("{} has no output", node.name))?;
        let operands = values.operands(node)?;
        let value = guard("computing a graph", || no_grad(|| compute(node, &operands)))
            .map_err(|error| format!("{}: {error}", node.name))??;
        drop(operands);
        values.insert(output, value);
        values.release(node);
    }
    let outputs = graph.output.iter().map(|output| Ok((output.name.clone(), values.get(&output.name)?)));
    outputs.collect()
}

/// The values there are, and how many nodes still read each.
struct Values {
    tensors: HashMap<String, Tensor>,
    readers: HashMap<String, usize>,
}

impl Values {
    fn new(graph: &mut GraphProto, inputs: BTreeMap<String, Tensor>) -> Result<Self, String> {
        let mut tensors: HashMap<String, Tensor> = inputs.into_iter().collect();
        for constant in graph.initializer.drain(..) {
            let value = tensor(&constant)?;
            tensors.insert(constant.name, value);
        }
        let mut readers = HashMap::new();
        let read = graph.node.iter().flat_map(|node| &node.input).chain(graph.output.iter().map(|output| &output.name));
        for name in read {
            *readers.entry(name.clone()).or_insert(0) += 1;
        }
        Ok(Values { tensors, readers })
    }

    fn get(&self, name: &str) -> Result<Tensor, String> {
        self.tensors.get(name).map(Tensor::shallow_clone).ok_or_else(|| format!("no node computes {name}"))
    }

    fn operands(&self, node: &NodeProto) -> Result<Vec<Tensor>, String> {
        // An operand that a node does without has no name.
        node.input.iter().filter(|name| !name.is_empty()).map(|name| self.get(name)).collect()
    }

    fn insert(&mut self, name: &str, value: Tensor) {
        self.tensors.insert(name.into(), value);
    }

    /// Lets go of what no later node reads.
    fn release(&mut self, node: &NodeProto) {
        for name in &node.input {
            let left = self.readers.get_mut(name).map_or(0, |left| {
                *left = left.saturating_sub(1);
                *left
            });
            if left == 0 {
                self.tensors.remove(name);
            }
        }
    }
}

fn tensor(constant: &TensorProto) -> Result<Tensor, String> {
    let raw = constant.raw_data.as_deref().unwrap_or_default();
    let elements = constant.dims.iter().try_fold(1, |product: i64, &extent| product.checked_mul(extent.max(0)));
    let (kind, element, bytes) = match constant.data_type {
        INT64 => (Kind::Int64, "i64", 8),
        _ => (Kind::Float, "f32", 4),
    };
    let known = [FLOAT32, INT64].contains(&constant.data_type);
    if !known || elements.and_then(|count| count.checked_mul(bytes)) != Some(raw.len() as i64) {
        return Err(format!("{} is not an {element} tensor {:?}", constant.name, constant.dims));
    }
    Tensor::f_from_data_size(raw, &constant.dims, kind).map_err(|error| format!("{}: {error}", constant.name))
}

fn compute(node: &NodeProto, operands: &[Tensor]) -> Result<Tensor, String> {
    Ok(match (node.op_type.as_str(), operands) {
        ("Sub", [a, b]) => a - b,
        ("Div", [a, b]) => a / b,
        ("Add", [a, b]) => a + b,
        ("Relu", [x]) => x.relu(),
        ("Conv", [x, weight]) => convolution(node, x, weight, None)?,
        ("Conv", [x, weight, bias]) => convolution(node, x, weight, Some(bias))?,
        ("Shape", [x]) => {
            let size = x.size();
            let end = whole(node, "end", size.len() as i64).clamp(0, size.len() as i64) as usize;
            Tensor::from_slice(&size[(whole(node, "start", 0).max(0) as usize).min(end)..end])
        }
        ("Expand", [x, shape]) => x.expand(Vec::<i64>::try_from(shape).map_err(|error| error.to_string())?, false),
        ("Concat", parts) if !parts.is_empty() => Tensor::cat(parts, whole(node, "axis", 0)),
        ("Resize", [x, sizes]) => resized(node, x, sizes)?,
        ("BatchNormalization", [x, scale, bias, mean, variance]) => {
            let per_channel = |values: &Tensor| values.view([1, -1, 1, 1]);
            let deviation = (variance + f64::from(number(node, "epsilon", 1e-5))).sqrt();
            (x - per_channel(mean)) / per_channel(&deviation) * per_channel(scale) + per_channel(bias)
        }
        ("MaxPool", [x]) => {
            let kernel = pair(node, "kernel_shape")?;
            x.max_pool2d(kernel, pair(node, "strides")?, padding(node)?, [1, 1], false)
        }
        ("GlobalAveragePool", [x]) => x.mean_dim([2i64, 3].as_slice(), true, Kind::Float),
        ("Flatten", [x]) if whole(node, "axis", 1) == 1 => x.flatten(1, -1),
        ("Gemm", [x, weight]) => x.matmul(&weight_of_gemm(node, weight)),
        ("Gemm", [x, weight, bias]) => x.matmul(&weight_of_gemm(node, weight)) + bias,
        ("Softmax", [x]) => x.softmax(whole(node, "axis", -1), Kind::Float),
        (operator, operands) => {
            return Err(format!("{} is {operator} of {} operands, which is not supported", node.name, operands.len()));
        }
    })
}

/// Bilinear resampling, whose pixels are squares: the half-pixel rule.
fn resized(node: &NodeProto, x: &Tensor, sizes: &Tensor) -> Result<Tensor, String> {
    for (attribute, expected) in [("mode", "linear"), ("coordinate_transformation_mode", "half_pixel")] {
        if text(node, attribute) != Some(expected.as_bytes()) {
            return Err(format!("{} has another {attribute} than {expected}", node.name));
        }
    }
    let sizes = Vec::<i64>::try_from(sizes).map_err(|error| error.to_string())?;
    match *sizes {
        [images, channels, height, width] if x.size()[..2] == [images, channels] => {
            Ok(x.upsample_bilinear2d([height, width], false, None, None))
        }
        _ => Err(format!("{} has sizes {sizes:?} for a map {:?}", node.name, x.size())),
    }
}

fn convolution(node: &NodeProto, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, String> {
    if pair(node, "kernel_shape")? != weight.size()[2..] {
        return Err(format!("{} has a kernel_shape that differs from that of its weight", node.name));
    }
    let (strides, padding, groups) = (pair(node, "strides")?, padding(node)?, whole(node, "group", 1));
    let dilations = if list(node, "dilations").is_empty() { [1, 1] } else { pair(node, "dilations")? };
    Ok(x.convolution(weight, bias, strides, padding, dilations, false, [0, 0], groups))
}

fn weight_of_gemm(node: &NodeProto, weight: &Tensor) -> Tensor {
    if whole(node, "transB", 0) == 0 { weight.shallow_clone() } else { weight.tr() }
}

fn whole(node: &NodeProto, name: &str, default: i64) -> i64 {
    node.attribute.iter().find(|attribute| attribute.name == name).and_then(|found| found.i).unwrap_or(default)
}

fn number(node: &NodeProto, name: &str, default: f32) -> f32 {
    node.attribute.iter().find(|attribute| attribute.name == name).and_then(|found| found.f).unwrap_or(default)
}

fn text<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [u8]> {
    node.attribute.iter().find(|attribute| attribute.name == name)?.s.as_deref()
}

fn list<'a>(node: &'a NodeProto, name: &str) -> &'a [i64] {
    node.attribute.iter().find(|attribute| attribute.name == name).map_or(&[], |found| &found.ints)
}

fn pair(node: &NodeProto, name: &str) -> Result<[i64; 2], String> {
    list(node, name).try_into().map_err(|_| format!("{} has no pair {name}", node.name))
}

/// Padding of height and width, which must be the same at both ends.
fn padding(node: &NodeProto) -> Result<[i64; 2], String> {
    match *list(node, "pads") {
        [top, left, bottom, right] if top == bottom && left == right => Ok([top, left]),
        _ => Err(format!("{} has uneven padding", node.name)),
    }
}
