"""Beside a compile: what is committed goes out to where devices get it, and comes back.

Reads: the lock, the store, the bundles; a registry or a folder.
Gives: pushed and pulled artifacts, signed release files.
Never: decides what is deployed, or keeps a credential or a key.
"""
