//! Checkpoints of every layout and container, whole and damaged.

mod damage;
mod fixture;
mod layouts;
mod loading;
#[path = "../common/mutation.rs"]
mod mutation;
mod mutations;
mod real_checkpoint;
mod safetensors_file;
mod shipped_encoder;
