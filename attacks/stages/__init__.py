"""Attacks by the stage that they strike: pictures, captions, the choice of samples, training, the model, its answers.

Modules here may take seconds to import; `attacks.stages.registry` lists all attacks without importing any of them.
"""
