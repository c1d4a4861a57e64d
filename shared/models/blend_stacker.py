"""stub"""
from shared.models.logit_stacker import LogitStacker
class BlendStacker(LogitStacker):
    def __init__(self, names): super().__init__(names, 1)
