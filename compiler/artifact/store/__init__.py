"""The store: artifacts and what is kept while they are made, by the digest of what they are.

Reads: the store's folder, files that are put into it.
Gives: artifacts, folders, what may be thrown away.
Never: decides what is made.
"""
