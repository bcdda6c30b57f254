//! Decides, window by window, what is wrong with a sensor: rules with thresholds, and detectors
//! that learn what is usual.
