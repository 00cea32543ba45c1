//! `MoCo` and `SimCLR` as methods: what gets gradients, what follows, what the queue holds.

use coretune::engine::World;
use coretune::losses::nt_xent;
use coretune::models::{
    Architecture, Backbone, Encoder, Family, Mode, Normalisation, Parameters, ProjectionHead, Role, Stem,
};
use coretune::objectives::{Heads, MoCo, MoCoSettings, Objective, ObjectiveLoss, Pass, SimClr, Start, figure, spread};
use coretune::train::run_parameters;
use tch::{Device, Kind, Tensor};

const DIM: i64 = 8;
const IMAGES: i64 = 8;

fn encoder(seed: u64) -> Encoder {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.125 };
    let backbone = Backbone::new(&architecture, seed, Device::Cpu).unwrap();
    let head = ProjectionHead::new(backbone.feature_width(), DIM, seed, Device::Cpu).unwrap();
    Encoder::new(backbone, head, Normalisation::IMAGENET).unwrap()
}

/// MoCo on an encoder, begun.
fn moco(encoder: &Encoder, groups: usize, momentum: f64) -> MoCo {
    let mut moco = MoCo::new(MoCoSettings { temperature: 0.2, momentum, queue_length: 16, width: DIM, groups });
    moco.begin(&Start { network: encoder, seed: 3, steps: 10, probe: None }).unwrap();
    moco
}

fn loss(objective: &mut dyn Objective, encoder: &Encoder, views: &Tensor, step: u64) -> ObjectiveLoss {
    let heads = Heads {
        classifier: &|_| panic!("there is no classifier in pre-training"),
        projection: &|rows| encoder.projection.forward(rows),
    };
    let labels = vec![0; (views.size()[0] / 2) as usize];
    objective.loss(&Pass::new(encoder, heads, views, &labels, (3, step), World::Alone)).unwrap()
}

fn keys(moco: &MoCo) -> Tensor {
    moco.queue().unwrap().keys().shallow_clone()
}

fn views(seed: i64) -> Tensor {
    tch::manual_seed(seed);
    Tensor::randint(255, [2 * IMAGES, 16, 16, 3], (Kind::Uint8, Device::Cpu))
}

fn tensor(parameters: &Parameters, name: &str) -> Tensor {
    parameters.get(name).unwrap_or_else(|| panic!("no {name}")).tensor.detach().copy()
}

#[test]
fn the_key_encoder_begins_as_a_copy_and_has_no_gradient() {
    let encoder = encoder(1);
    let parameters = run_parameters(&encoder, &moco(&encoder, 1, 0.99));
    let query = parameters.iter().filter(|parameter| parameter.name.starts_with("module.encoder_q."));
    let mut count = 0;
    for parameter in query {
        let key = parameters.get(&parameter.name.replace("encoder_q", "encoder_k")).unwrap();
        assert!(parameter.tensor.detach().equal(&key.tensor.detach()), "{}", parameter.name);
        assert_eq!(key.role, Role::Buffer);
        assert!(!key.tensor.requires_grad());
        count += 1;
    }
    assert_eq!(count, 124);
    assert!(parameters.get("module.queue").is_some());
}

#[test]
fn a_step_fills_the_queue_with_the_keys_and_moves_the_key_encoder_towards_the_query_encoder() {
    let encoder = encoder(1);
    let mut moco = moco(&encoder, 1, 0.9);
    let name = "module.encoder_q.conv1.weight";
    let before = tensor(&run_parameters(&encoder, &moco), name);
    tch::no_grad(|| {
        let _ = run_parameters(&encoder, &moco).get(name).unwrap().tensor.shallow_clone().f_add_scalar_(1.0).unwrap();
    });
    let queue = keys(&moco).copy();
    let loss = loss(&mut moco, &encoder, &views(0), 0);
    assert!(keys(&moco).equal(&queue), "the queue must be whole until the backward pass is done");
    loss.total.backward();
    moco.updated().unwrap();
    let key = tensor(&run_parameters(&encoder, &moco), "module.encoder_k.conv1.weight");
    let expected = &before + 0.1;
    assert!((key - expected).abs().max().double_value(&[]) < 1e-5);
    let (filled, rest) = (keys(&moco).narrow(1, 0, IMAGES), keys(&moco).narrow(1, IMAGES, IMAGES));
    assert!(rest.equal(&queue.narrow(1, IMAGES, IMAGES)) && !filled.equal(&queue.narrow(1, 0, IMAGES)));
    let lengths = filled.square().sum_dim_intlist([0i64].as_slice(), false, None);
    assert!((lengths - 1.0).abs().max().double_value(&[]) < 1e-5);
    let gradients = run_parameters(&encoder, &moco);
    let with_gradient = gradients.iter().filter(|parameter| parameter.tensor.grad().defined()).count();
    let weights = gradients.iter().filter(|parameter| parameter.role == Role::Weight).count();
    assert_eq!(with_gradient, weights);
}

/// With frozen statistics the groups of a batch cannot matter: the shuffle must be undone exactly.
#[test]
fn keys_come_back_in_the_order_of_their_images() {
    let queued = |groups: usize| {
        let mut encoder = encoder(1);
        encoder.backbone.freeze_batch_norm();
        let mut moco = moco(&encoder, groups, 1.0);
        loss(&mut moco, &encoder, &views(1), 5);
        moco.updated().unwrap();
        keys(&moco).narrow(1, 0, IMAGES)
    };
    let (whole, parted) = (queued(1), queued(4));
    assert!((&whole - &parted).abs().max().double_value(&[]) < 1e-4, "{whole} {parted}");
}

/// Batch norm sees a query among others than its key: with the same weights and the same image twice, the two differ.
#[test]
fn a_query_and_its_key_do_not_share_their_statistics() {
    let cosine = |groups: usize| {
        let encoder = encoder(1);
        let mut moco = moco(&encoder, groups, 1.0);
        let one = views(2).narrow(0, 0, IMAGES);
        let loss = loss(&mut moco, &encoder, &Tensor::cat(&[&one, &one], 0), 0);
        let found = loss.figures.iter().find(|(name, _)| *name == figure::POSITIVE_COSINE).unwrap();
        found.1.double_value(&[])
    };
    assert!((cosine(1) - 1.0).abs() < 1e-4, "one group: both views have the same statistics");
    assert!(cosine(4) < 0.9999, "{}", cosine(4));
}

#[test]
fn simclr_contrasts_both_views_of_the_whole_batch() {
    let (encoder, again) = (encoder(1), encoder(1));
    let mut simclr = SimClr { temperature: 0.5 };
    let views = views(3);
    let loss = loss(&mut simclr, &encoder, &views, 0);
    let expected = nt_xent(&again.projections(&views, Mode::Train).unwrap(), 0.5).unwrap();
    assert!((loss.total.double_value(&[]) - expected.loss.double_value(&[])).abs() < 1e-6);
    let names: Vec<&str> = loss.figures.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [figure::ACCURACY, figure::POSITIVE_COSINE, figure::SPREAD]);
    assert!(run_parameters(&encoder, &simclr).get("backbone.fc.2.weight").is_some());
}

/// An encoder that gives one vector for every image must not look good.
#[test]
fn a_collapse_shows_in_accuracy_and_spread() {
    let rows = Tensor::ones([6, 4], (Kind::Float, Device::Cpu));
    let found = nt_xent(&rows, 0.5).unwrap();
    assert!(found.accuracy.double_value(&[]) < 1e-9);
    assert!((found.positive_cosine.double_value(&[]) - 1.0).abs() < 1e-6);
    assert!(spread(&rows).double_value(&[]) < 1e-6);
    let axes =
        Tensor::cat(&[&Tensor::eye(4, (Kind::Float, Device::Cpu)), &-Tensor::eye(4, (Kind::Float, Device::Cpu))], 0);
    assert!((spread(&axes).double_value(&[]) - 1.0).abs() < 1e-6, "spread evenly");
}

/// With one group for batch norm `MoCo` does not shuffle its keys between statistics either.
#[test]
fn the_order_of_the_images_does_not_matter_to_methods_of_pretraining() {
    let order: Vec<i64> = (0..IMAGES).map(|image| (3 * image + 1) % IMAGES).collect();
    let of_both_views: Vec<i64> = order.iter().copied().chain(order.iter().map(|image| image + IMAGES)).collect();
    let views = views(4);
    let reordered = views.index_select(0, &Tensor::from_slice(&of_both_views));
    let encoder = encoder(1);
    let methods: [&dyn Fn() -> Box<dyn Objective>; 2] =
        [&|| Box::new(moco(&encoder, 1, 0.9)), &|| Box::new(SimClr { temperature: 0.5 })];
    for method in methods {
        let of = |views: &Tensor| loss(&mut *method(), &encoder, views, 0).total.double_value(&[]);
        let (before, after) = (of(&views), of(&reordered));
        assert!((before - after).abs() < 1e-4 * before, "{}: {before} {after}", method().name());
    }
}
