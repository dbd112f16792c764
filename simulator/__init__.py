"""The physics: engines that hold a plan and observe what a realization does to it."""
