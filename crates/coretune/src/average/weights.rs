//! The weighted mean of models.

use tch::{Kind, Tensor, no_grad};

use super::AverageError;
use crate::engine::guard;
use crate::models::{Linear, Model, Network};

/// A model whose every tensor is the mean of those of `models`, weighted; running statistics of batch norm too. Integer
/// buffers are those of the last model. There is no projection head.
///
/// # Errors
/// [`crate::models::ModelError`] for exceptions of libtorch, as for models of different shapes.
pub(super) fn weighted_mean(models: &[Model], weights: &[f64]) -> Result<Model, AverageError> {
    let last = &models[models.len() - 1];
    let classifier =
        Linear::from_values(&last.classifier.weight, last.classifier.bias.as_ref(), last.classifier.weight.device())?;
    let mean = Model::new(last.backbone.frozen_copy()?, classifier, None, last.normalisation)?;
    let lists: Vec<_> = models.iter().map(|model| model.tensors("")).collect();
    for parameter in mean.tensors("").iter().filter(|parameter| parameter.tensor.is_floating_point()) {
        let parts = lists.iter().zip(weights).map(|(list, weight)| {
            let part =
                list.get(&parameter.name).ok_or_else(|| AverageError::Tensor { name: parameter.name.clone() })?;
            Ok((&part.tensor, *weight))
        });
        let parts: Vec<(&Tensor, f64)> = parts.collect::<Result<_, AverageError>>()?;
        guard("averaging weights", || {
            no_grad(|| {
                let terms: Vec<Tensor> =
                    parts.iter().map(|(tensor, weight)| tensor.detach().to_kind(Kind::Double) * *weight).collect();
                let sum = Tensor::stack(&terms, 0).sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
                parameter.tensor.shallow_clone().copy_(&sum);
            });
        })
        .map_err(crate::models::ModelError::from)?;
    }
    Ok(mean)
}
