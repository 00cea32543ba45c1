//! The choices of a configuration between names.

use crate::settings::choice;

choice! {
    /// How the classifier starts.
    HeadInit {
        /// Small random weights.
        Random = "random",
        /// The linear probe of the frozen features (B11, LP-FT).
        LinearProbe = "linear-probe",
    }
}

choice! {
    /// How the projection head starts.
    ProjectionInit {
        /// Small random weights.
        Random = "random",
        /// The projection head that the checkpoint was pre-trained with.
        Checkpoint = "checkpoint",
    }
}

choice! {
    /// What kNN and linear probe read of the frozen checkpoint.
    ProbeRows {
        /// The pooled features.
        Features = "features",
        /// The spatial means of the maps of every stage after the stem, side by side.
        Stages = "stages",
        /// The first layer of the checkpoint's projection head, after its ReLU.
        Projector = "projector",
    }
}

choice! {
    /// Which views of an image kNN and linear probe see.
    ProbeViews {
        /// The image, and in fitting the probe its mirror image as a row of its own (B10).
        Mirrored = "mirrored",
        /// The mean over the image, four shifts of it by an eighth, and the mirror images of all five.
        TenCrop = "ten-crop",
    }
}

choice! {
    /// Whether training images are kept in memory once they are decoded.
    #[derive(Default)]
    Cache {
        /// If all of them take at most a quarter of the memory that is available at the start.
        #[default]
        Auto = "auto",
        /// As many as half of the available memory holds.
        Ram = "ram",
        /// No: they are decoded in each epoch.
        Off = "off",
    }
}

choice! {
    /// How batches are drawn.
    Sampler {
        /// A permutation of the training images each epoch.
        Shuffle = "shuffle",
        /// P classes x K images in each batch.
        Balanced = "balanced",
    }
}

choice! {
    /// How closely the data is checked before it is used.
    DataCheck {
        /// Every image is decoded, and compared with those of the other splits.
        Full = "full",
        /// Every file is opened and its header read; of masks a few are decoded.
        Quick = "quick",
        /// Not at all.
        Off = "off",
    }
}

choice! {
    /// How classes are weighted in the cross-entropy.
    ClassWeights {
        /// All alike.
        Off = "off",
        /// Inversely to their number of training images, or pixels.
        Balanced = "balanced",
    }
}

choice! {
    /// The optimizer.
    Optimizer {
        /// Stochastic gradient descent with momentum.
        Sgd = "sgd",
        /// Adam with decoupled weight decay.
        Adamw = "adamw",
        /// Momentum with a rate of its own for each layer.
        Lars = "lars",
    }
}

choice! {
    /// How the learning rate falls after warm-up.
    Schedule {
        /// Half a cosine down to `min_lr`, stepped per update.
        Cosine = "cosine",
        /// Multiplied by `step_gamma` every `step_epochs`.
        Step = "step",
        /// A power of the fraction of the steps that is left.
        Poly = "poly",
        /// Not at all.
        Constant = "constant",
    }
}

choice! {
    /// What mining and contrast see of a batch that goes through the network in parts.
    Accumulation {
        /// All of it: the gradient of the whole batch.
        Exact = "exact",
        /// Each part by itself, as in the published script.
        Split = "split",
    }
}

choice! {
    /// Which epoch is kept as the best.
    Select {
        /// The highest top-1 on the validation split.
        ValTop1 = "val_top1",
        /// The lowest loss on the validation split.
        ValLoss = "val_loss",
        /// The highest mean IoU on the validation split, in segmentation.
        ValMeanIou = "val_mean_iou",
        /// The highest pixel accuracy on the validation split, in segmentation.
        ValPixelAccuracy = "val_pixel_accuracy",
        /// The highest mean pixel accuracy on the validation split, in segmentation.
        ValMeanPixelAccuracy = "val_mean_pixel_accuracy",
        /// The highest frequency-weighted IoU on the validation split, in segmentation.
        ValFrequencyWeightedIou = "val_frequency_weighted_iou",
        /// The last one; no choice is made.
        Last = "last",
    }
}
