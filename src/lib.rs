//! ogflow: declarative batch pipelines for the OpenGPU network.
