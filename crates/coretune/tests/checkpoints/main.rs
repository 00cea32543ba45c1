//! Checkpoints of every layout and container, whole and damaged.

mod damage;
mod fixture;
mod layouts;
mod loading;
mod mutations;
mod real_checkpoint;
mod safetensors_file;
mod segmentation;
mod shards;
mod shipped_encoder;
mod wrapped_names;
