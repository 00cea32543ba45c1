//! Heads of dense prediction: from a backbone's map to logits at each of its positions.

use tch::Device;

use super::ModelError;
use super::blocks::ConvNorm;
use super::builder::{Builder, Values};
use super::dropout::Dropout;
use super::heads::Linear;
use super::layers::{BatchNorm, Kernel};
use super::operations::Operations;
use super::parameters::Parameters;
use crate::engine::{self, World};
use crate::random::Purpose;
use crate::settings::choice;

choice! {
    /// What lies between a backbone's map and the logits.
    #[derive(Default)]
    DenseHeadKind {
        /// DeepLab-V3: atrous spatial pyramid pooling.
        #[default]
        DeepLabV3 = "deeplabv3",
        /// DeepLab-V3+: the same, enlarged and joined with the map of the first stage.
        DeepLabV3Plus = "deeplabv3plus",
        /// FCN: a 3x3 convolution to a quarter of the channels.
        Fcn = "fcn",
        /// Nothing: a 1x1 convolution alone.
        Linear = "linear",
    }
}

/// Channels of DeepLab-V3's head.
const DEEPLAB_WIDTH: i64 = 256;

/// Channels that DeepLab-V3+ makes of the first stage's map.
const DETAILS_WIDTH: i64 = 48;

/// Dilation of the first of the three dilated branches of DeepLab-V3, times the stride of the backbone: 6 at stride 16.
const RATE_TIMES_STRIDE: i64 = 96;

/// A head `G_y` of dense prediction: layers that give an embedding `f` at each position, then a 1x1 convolution with bias.
///
/// Its convolutions are drawn as torch draws them by default, which torchvision keeps in these heads:
/// U(-1 / sqrt(fan in), 1 / sqrt(fan in)); batch norms start at weight 1, bias 0.
#[derive(Debug)]
pub struct DenseHead {
    kind: DenseHeadKind,
    layers: Layers,
    classifier: Linear,
    parameters: Parameters,
}

#[derive(Debug)]
enum Layers {
    DeepLabV3(Box<DeepLabV3>),
    DeepLabV3Plus(Box<DeepLabV3Plus>),
    Fcn(Fcn),
    None,
}

/// Where a head is: its tensors' prefix, its streams, what its dropout is drawn for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    name: &'static str,
    /// Number of its first tensor in the streams of initial weights.
    first: usize,
    dropout: Purpose,
}

impl Place {
    /// The head on the last map.
    pub(super) const MAIN: Place = Place { name: "classifier", first: 3_000_000, dropout: Purpose::Dropout };
    /// The head on the map before the last stage.
    pub(super) const AUXILIARY: Place =
        Place { name: "aux_classifier", first: 4_000_000, dropout: Purpose::AuxiliaryDropout };
}

/// Shape of a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) kind: DenseHeadKind,
    /// Channels of the map that it reads.
    pub(super) inputs: i64,
    /// Channels of the map of the first stage.
    pub(super) details: i64,
    pub(super) classes: i64,
    /// Stride of the map that it reads.
    pub(super) stride: i64,
    pub(super) dropout: f64,
}

impl DenseHead {
    pub(super) fn new(shape: Shape, place: Place, seed: u64, device: Device) -> Result<Self, ModelError> {
        let Shape { kind, inputs, details, classes, stride, dropout } = shape;
        if classes < 2 {
            return Err(ModelError::Classes { found: classes });
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(ModelError::Dropout { found: dropout });
        }
        engine::guard("building a segmentation head", || {
            let mut builder = Builder::of_head(Values::Random(seed), place.first, device);
            let dropout = Dropout::new(dropout, place.dropout);
            let (layers, embedding, last) = match kind {
                DenseHeadKind::DeepLabV3 => {
                    let layers = DeepLabV3::new(&mut builder, place.name, inputs, stride, dropout);
                    (Layers::DeepLabV3(Box::new(layers)), DEEPLAB_WIDTH, format!("{}.4", place.name))
                }
                DenseHeadKind::DeepLabV3Plus => {
                    let layers = DeepLabV3Plus::new(&mut builder, place.name, (inputs, details), stride, dropout);
                    (Layers::DeepLabV3Plus(Box::new(layers)), DEEPLAB_WIDTH, format!("{}.4", place.name))
                }
                DenseHeadKind::Fcn => {
                    let width = (inputs / 4).max(1);
                    let layers = Fcn::new(&mut builder, place.name, inputs, width, dropout);
                    (Layers::Fcn(layers), width, format!("{}.4", place.name))
                }
                DenseHeadKind::Linear => (Layers::None, inputs, place.name.to_string()),
            };
            let classifier = builder.pointwise(&last, embedding, classes);
            let (parameters, _) = builder.finish();
            DenseHead { kind, layers, classifier, parameters }
        })
        .map_err(ModelError::from)
    }

    /// What was built.
    pub fn kind(&self) -> DenseHeadKind {
        self.kind
    }

    /// The last 1x1 convolution, as a layer on rows of the embedding.
    pub fn classifier(&self) -> &Linear {
        &self.classifier
    }

    /// All tensors with their whole names: `classifier.0.convs.0.0.weight`.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Whether training mode takes the statistics of a map of one position for each image.
    pub(super) fn normalises_pooled_map(&self) -> bool {
        let pyramid = match &self.layers {
            Layers::DeepLabV3(head) => &head.pyramid,
            Layers::DeepLabV3Plus(head) => &head.pyramid,
            Layers::Fcn(_) | Layers::None => return false,
        };
        !pyramid.pooled.norm().is_frozen()
    }

    pub(super) fn freeze_norms(&mut self) {
        self.change_norms(BatchNorm::freeze);
    }

    pub(super) fn synchronise_norms(&mut self, world: World) {
        self.change_norms(|norm| norm.synchronise(world));
    }

    fn change_norms(&mut self, change: impl Fn(&mut BatchNorm)) {
        match &mut self.layers {
            Layers::DeepLabV3(head) => head.layers_mut().for_each(|layer| change(layer.norm_mut())),
            Layers::DeepLabV3Plus(head) => head.layers_mut().for_each(|layer| change(layer.norm_mut())),
            Layers::Fcn(head) => change(head.reduce.norm_mut()),
            Layers::None => {}
        }
    }

    /// What the head keeps of the first stage's map until it has the last one's.
    pub(super) fn reduce_details<O: Operations>(&self, map: &O::Value, operations: &mut O) -> Option<O::Value> {
        match &self.layers {
            Layers::DeepLabV3Plus(head) => Some(head.details.apply(map, operations)),
            Layers::DeepLabV3(_) | Layers::Fcn(_) | Layers::None => None,
        }
    }

    /// The embedding f32 `[n, c, h, w]` of a map; `details` is what [`DenseHead::reduce_details`] gave.
    pub(super) fn embed<O: Operations>(
        &self,
        map: O::Value,
        details: Option<O::Value>,
        operations: &mut O,
    ) -> O::Value {
        let embedding = match &self.layers {
            Layers::DeepLabV3(head) => head.apply(&map, operations),
            Layers::DeepLabV3Plus(head) => {
                head.apply(&map, details.expect("the map of the first stage was reduced"), operations)
            }
            Layers::Fcn(head) => head.apply(&map, operations),
            Layers::None => map,
        };
        operations.to_float(embedding)
    }

    /// Logits at each position of the embedding.
    pub(super) fn classify<O: Operations>(&self, embedding: &O::Value, operations: &mut O) -> O::Value {
        operations.pointwise(embedding, &self.classifier)
    }
}

/// Atrous spatial pyramid pooling: a 1x1 convolution, three dilated 3x3 convolutions and the mean of the map, side by side;
/// a 1x1 convolution over all of them.
#[derive(Debug)]
struct Pyramid {
    branches: Vec<ConvNorm>,
    pooled: ConvNorm,
    project: ConvNorm,
    dropout: Dropout,
}

impl Pyramid {
    fn new(builder: &mut Builder, name: &str, inputs: i64, stride: i64, dropout: Dropout) -> Self {
        let mut layer = |convolution: &str, norm: &str, kernel| named(builder, name, (convolution, norm), kernel);
        let pointwise = Kernel::dense(inputs, DEEPLAB_WIDTH, 1, 1);
        let mut branches = vec![layer("0.convs.0.0", "0.convs.0.1", pointwise)];
        for branch in 1..=3 {
            let rate = (RATE_TIMES_STRIDE / stride).max(1) * branch;
            let kernel = Kernel::dense(inputs, DEEPLAB_WIDTH, 3, 1).dilated(rate);
            branches.push(layer(&format!("0.convs.{branch}.0"), &format!("0.convs.{branch}.1"), kernel));
        }
        Pyramid {
            branches,
            pooled: layer("0.convs.4.1", "0.convs.4.2", pointwise),
            project: layer("0.project.0", "0.project.1", Kernel::dense(5 * DEEPLAB_WIDTH, DEEPLAB_WIDTH, 1, 1)),
            dropout,
        }
    }

    fn apply<O: Operations>(&self, map: &O::Value, operations: &mut O) -> O::Value {
        let mut maps: Vec<O::Value> = self.branches.iter().map(|branch| branch.apply(map, operations)).collect();
        let pooled = operations.pool(map);
        let pooled = self.pooled.apply(&pooled, operations);
        maps.push(operations.spread(&pooled, &maps[0]));
        let together = operations.concatenate(&maps);
        let projected = self.project.apply(&together, operations);
        operations.dropout(projected, &self.dropout)
    }

    fn layers_mut(&mut self) -> impl Iterator<Item = &mut ConvNorm> {
        self.branches.iter_mut().chain([&mut self.pooled, &mut self.project])
    }
}

/// Chen et al., "Rethinking atrous convolution for semantic image segmentation" (2017): the pyramid, and a 3x3 convolution.
#[derive(Debug)]
struct DeepLabV3 {
    pyramid: Pyramid,
    last: ConvNorm,
}

impl DeepLabV3 {
    fn new(builder: &mut Builder, name: &str, inputs: i64, stride: i64, dropout: Dropout) -> Self {
        let pyramid = Pyramid::new(builder, name, inputs, stride, dropout);
        let last = named(builder, name, ("1", "2"), Kernel::dense(DEEPLAB_WIDTH, DEEPLAB_WIDTH, 3, 1));
        DeepLabV3 { pyramid, last }
    }

    fn apply<O: Operations>(&self, map: &O::Value, operations: &mut O) -> O::Value {
        let projected = self.pyramid.apply(map, operations);
        self.last.apply(&projected, operations)
    }

    fn layers_mut(&mut self) -> impl Iterator<Item = &mut ConvNorm> {
        self.pyramid.layers_mut().chain([&mut self.last])
    }
}

/// Chen et al., "Encoder-decoder with atrous separable convolution for semantic image segmentation" (2018): the pyramid,
/// enlarged to the first stage's map; that map in 48 channels beside it; two 3x3 convolutions, not separable here.
#[derive(Debug)]
struct DeepLabV3Plus {
    pyramid: Pyramid,
    details: ConvNorm,
    refine: [ConvNorm; 2],
}

impl DeepLabV3Plus {
    fn new(builder: &mut Builder, name: &str, (inputs, details): (i64, i64), stride: i64, dropout: Dropout) -> Self {
        let pyramid = Pyramid::new(builder, name, inputs, stride, dropout);
        let mut layer = |names, kernel| named(builder, name, names, kernel);
        let joined = Kernel::dense(DEEPLAB_WIDTH + DETAILS_WIDTH, DEEPLAB_WIDTH, 3, 1);
        DeepLabV3Plus {
            pyramid,
            details: layer(("details.0", "details.1"), Kernel::dense(details, DETAILS_WIDTH, 1, 1)),
            refine: [
                layer(("1", "2"), joined),
                layer(("refine.0", "refine.1"), Kernel::dense(DEEPLAB_WIDTH, DEEPLAB_WIDTH, 3, 1)),
            ],
        }
    }

    fn apply<O: Operations>(&self, map: &O::Value, details: O::Value, operations: &mut O) -> O::Value {
        let projected = self.pyramid.apply(map, operations);
        let enlarged = operations.enlarge(&projected, &details);
        let joined = operations.concatenate(&[enlarged, details]);
        let [first, second] = &self.refine;
        let refined = first.apply(&joined, operations);
        second.apply(&refined, operations)
    }

    fn layers_mut(&mut self) -> impl Iterator<Item = &mut ConvNorm> {
        self.pyramid.layers_mut().chain([&mut self.details]).chain(&mut self.refine)
    }
}

/// A convolution with batch norm and ReLU, whose tensors are called `name.convolution` and `name.norm`.
fn named(builder: &mut Builder, name: &str, (convolution, norm): (&str, &str), kernel: Kernel) -> ConvNorm {
    ConvNorm::new(builder, &format!("{name}.{convolution}"), &format!("{name}.{norm}"), kernel, true)
}

/// The head of torchvision's FCN.
#[derive(Debug)]
struct Fcn {
    reduce: ConvNorm,
    dropout: Dropout,
}

impl Fcn {
    fn new(builder: &mut Builder, name: &str, inputs: i64, width: i64, dropout: Dropout) -> Self {
        let kernel = Kernel::dense(inputs, width, 3, 1);
        let reduce = ConvNorm::new(builder, &format!("{name}.0"), &format!("{name}.1"), kernel, true);
        Fcn { reduce, dropout }
    }

    fn apply<O: Operations>(&self, map: &O::Value, operations: &mut O) -> O::Value {
        let reduced = self.reduce.apply(map, operations);
        operations.dropout(reduced, &self.dropout)
    }
}
