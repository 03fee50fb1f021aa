"""Learns the trajectory error of a desktop 3D printer and predicts it in microseconds."""
