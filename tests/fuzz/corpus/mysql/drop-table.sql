DROP TABLE old_users, `a long name, of sixty-three bytes, that is cut behind its prefix`;
