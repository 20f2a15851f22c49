"""From a dataset to a trained student, stage by stage: the only room with torch. Its door, `train.command`, opens without."""
