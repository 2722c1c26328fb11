#!/bin/sh
# What the NixOS recipe's unit runs on start, with its own commands and nothing of ours.
set -e
ip link add wg0 type wireguard
ip link set wg0 netns recipe
ip -n recipe address add 10.66.0.2/32 dev wg0
ip -n recipe -6 address add fd66::2/128 dev wg0
ip netns exec recipe wg setconf wg0 /root/recipe.conf
ip -n recipe link set wg0 up
ip -n recipe route add default dev wg0
ip -n recipe -6 route add default dev wg0
