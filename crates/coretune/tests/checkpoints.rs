//! Checkpoints of every layout and container, whole and damaged.

#[path = "checkpoints/damage.rs"]
mod damage;
#[path = "checkpoints/fixture.rs"]
mod fixture;
#[path = "checkpoints/layouts.rs"]
mod layouts;
#[path = "checkpoints/loading.rs"]
mod loading;
#[path = "mutation/mod.rs"]
mod mutation;
#[path = "checkpoints/mutations.rs"]
mod mutations;
#[path = "checkpoints/real_checkpoint.rs"]
mod real_checkpoint;
#[path = "checkpoints/safetensors_file.rs"]
mod safetensors_file;
#[path = "checkpoints/shipped_encoder.rs"]
mod shipped_encoder;
